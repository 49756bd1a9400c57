package io.github.dl4jlora.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** Encoders of texts in the sizes that teams adapt: time of a step beside PyTorch, memory of many pairs and of long texts. */
final class TextMeasurements {

    private TextMeasurements() {
    }

    static void measure(Measurements measurements, Results results, Turns turns, int rounds, Path python) {
        List<PairedRun<TextTask>> steps = PairedRun.of(Arrays.stream(TextTask.values()).filter(TextTask::isStep)
                .toArray(TextTask[]::new), task -> task == TextTask.STEP && measurements.hasPyTorch()
                        ? List.of(Measurements.PYTORCH) : List.of());
        turns.medians(steps, step -> step.title(TextTask::title), step -> step.isHere() ? step.task().turns()
                : Child.pythonTurns(Settings.ONE_THREAD, python, "encoder.py", "lora", String.valueOf(TextChild.TEXTS),
                        String.valueOf(TextChild.TOKENS), String.valueOf(TextChild.RANK),
                        String.valueOf(TextChild.BGE_SMALL.layers()), "1")).forEach((step, millis) -> {
                            if (step.isHere()) {
                                results.texts.put(step.task(), millis[0]);
                            } else {
                                results.textStepOfPyTorch = millis[0];
                            }
                        });
        Map<TextTask, List<Double>> bytes = new EnumMap<>(TextTask.class);
        for (int round = 0; round < rounds; round++) {
            Arrays.stream(TextTask.values()).filter(task -> !task.isStep()).forEach(task -> measurements.attempt(task.title(),
                    task::bytes, of -> bytes.computeIfAbsent(task, key -> new ArrayList<>()).add(Double.parseDouble(of))));
        }
        bytes.forEach((task, values) -> results.texts.put(task, Measurements.median(values)));
        Measurements.say("texts: " + results.texts + ", PyTorch " + results.textStepOfPyTorch);
    }

    private static double of(Results results, TextTask task) {
        return results.texts.getOrDefault(task, Double.NaN);
    }

    static List<Target> targets(Results results) {
        return List.of(
                new Target("BGE-small / PyTorch, one thread: training step, base in INT8", 0.65,
                        of(results, TextTask.STEP_INT8) / results.textStepOfPyTorch),
                new Target("memory of a contrastive step, 1,024 pairs / 32 pairs", 1.3,
                        of(results, TextTask.PAIRS_1024) / of(results, TextTask.PAIRS_32)),
                new Target(TextTask.LONG.title() + ", MB", 800, of(results, TextTask.LONG) / 1e6),
                new Target(TextTask.LONG.title() + ", blocks computed again, MB", 800,
                        of(results, TextTask.LONG_RECOMPUTED) / 1e6));
    }

    static List<Table> tables(Results results) {
        if (results.texts.isEmpty()) {
            return List.of();
        }
        List<List<String>> times = new ArrayList<>(List.of(List.of("ms", "this library", "PyTorch, FLOAT", "/ PyTorch")));
        List<List<String>> bytes = new ArrayList<>(List.of(List.of("", "MB")));
        Arrays.stream(TextTask.values()).forEach(task -> {
            double value = of(results, task);
            if (task.isStep()) {
                times.add(List.of(task.title(), Table.number(value), Table.number(results.textStepOfPyTorch),
                        Table.number(value / results.textStepOfPyTorch)));
            } else {
                bytes.add(List.of(task.title(), Table.megabytes(value)));
            }
        });
        return List.of(new Table("A training step of BGE-small", "The sizes of bge-small-en-v1.5 with random weights, "
                        + TextChild.TEXTS + " texts of " + TextChild.TOKENS + " tokens, LoRA of rank " + TextChild.RANK
                        + " on query and value, Adam, one thread. PyTorch's base is frozen and FLOAT. Medians.", times),
                new Table("Memory of texts", "Most resident memory of the process during training steps, Java's heap included; "
                        + "threads settled, " + TextTask.bounds() + " where nothing else is said. Pairs: the sizes of MiniLM, "
                        + "texts of " + TextChild.PAIR_TOKENS + " tokens, CachedNegatives of " + TextChild.PART + " texts.",
                        bytes));
    }
}
