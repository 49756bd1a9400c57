package io.github.dl4jlora.benchmarks;

import io.github.dl4jlora.conf.LayerType;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/** Networks of {@link PeerTask} here and in PyTorch: whether both compute the same, and how long it takes. */
final class PeerMeasurements {

    private PeerMeasurements() {
    }

    /** Milliseconds of a training step and of a forward pass. */
    record Cost(double step, double forward) {

        static final Cost ABSENT = new Cost(Double.NaN, Double.NaN);
    }

    /** All runs of a task, in the order in which they take turns. */
    private static List<Results.Run> runs(List<Side> sides) {
        return Stream.of(Settings.SETTLED, Settings.ONE_THREAD).flatMap(settings -> sides.stream().filter(Side::isOfPeerTasks)
                .map(side -> new Results.Run(side, side.isPyTorch() ? settings.ofPyTorch() : settings)))
                .filter(run -> run.side().isMeasuredUnder(run.settings())).toList();
    }

    static void measure(Measurements measurements, Results results, List<PeerTask> tasks, List<Side> sides, Turns turns,
            Path python) throws IOException {
        for (PeerTask task : tasks) {
            for (Side side : sides) {
                if (side.isOfPeerTasks() && !side.isPyTorch() && measurements.hasPyTorch()) {
                    compare(measurements, results, task, side, python);
                }
            }
            List<Results.Run> runs = runs(sides).stream().filter(run -> !run.side().isPyTorch() || measurements.hasPyTorch())
                    .toList();
            Map<Results.Run, Cost> costs = new LinkedHashMap<>();
            turns.medians(runs, run -> run.title() + ", " + task.title(), run -> start(task, run, python))
                    .forEach((run, millis) -> costs.put(run, new Cost(millis[0], millis[1])));
            results.peers.put(task, costs);
            Measurements.say(task.title() + ": " + costs);
        }
    }

    private static TurnTaker start(PeerTask task, Results.Run run, Path python) {
        Side side = run.side();
        return side.isPyTorch()
                ? Child.pythonTurns(run.settings(), python, "layers.py",
                        task.arguments(side, Measurements.threads(run.settings())))
                : Child.javaTurns(run.settings(), side.jvmOptions(), PeerChild.class, task.name(), side.name());
    }

    /** The loss and the gradients of both sides, from the same parameters. */
    private static void compare(Measurements measurements, Results results, PeerTask task, Side side, Path python)
            throws IOException {
        Measurements.inTemporaryFolder(folder -> measurements.attempt("whether " + side.title() + " computes what PyTorch does, "
                + task.title(), () -> {
            Child.java(Settings.ONE_THREAD, side.jvmOptions(), PeerChild.class, task.name(), side.name(), folder.toString());
            String[] arguments = task.arguments(Side.PYTORCH_LORA, "1");
            String found = Child.python(Settings.ONE_THREAD, python, "layers.py", Stream.concat(Arrays.stream(arguments),
                    Stream.of(folder.toString())).toArray(String[]::new));
            double[] differences = Measurements.numbers(found.split(" "));
            // Not-a-number is no agreement either.
            if (!(Math.max(differences[0], differences[1]) <= side.tolerance())) {
                throw new IllegalStateException("loss and gradients differ by " + found + " of their size, more than "
                        + side.tolerance());
            }
            return found;
        }, found -> results.differences.computeIfAbsent(task, key -> new HashMap<>())
                .put(side, Measurements.numbers(found.split(" "))[1])));
    }

    private static Cost cost(Results results, PeerTask task, Side side, Settings settings) {
        return results.peers.getOrDefault(task, Map.of()).getOrDefault(new Results.Run(side, settings), Cost.ABSENT);
    }

    /**
     * PyTorch's time, beside that of a run here: on one thread if that run has one, or otherwise the less of one thread's and its
     * own default's.
     */
    private static double ofPyTorch(Results results, PeerTask task, Side side, Settings settings, ToDoubleFunction<Cost> of) {
        double one = of.applyAsDouble(cost(results, task, side, Settings.ONE_THREAD));
        double found = of.applyAsDouble(cost(results, task, side, Settings.AS_FOUND));
        return settings == Settings.ONE_THREAD || Double.isNaN(found) ? one : Double.isNaN(one) ? found : Math.min(one, found);
    }

    static List<Target> targets(Results results) {
        return List.of(target(results, PeerTask.CONVOLUTIONS_64, Side.LORA, true, 1.10),
                target(results, PeerTask.CONVOLUTIONS_128, Side.LORA, true, 1.10),
                target(results, PeerTask.CONVOLUTIONS_64, Side.LORA, false, 1.00),
                target(results, PeerTask.LSTM_32, Side.LORA_WITHOUT_ONEDNN, true, 0.70),
                target(results, PeerTask.LSTM_32, Side.LORA, true, 0.55),
                target(results, PeerTask.LSTM_8, Side.LORA, true, 0.75),
                target(results, PeerTask.CONVOLUTIONS_64, Side.LORA_BF16, true, 0.80),
                target(results, PeerTask.CONVOLUTIONS_128, Side.LORA_BF16, true, 0.80),
                target(results, PeerTask.LSTM_32, Side.LORA_BF16, true, 0.42));
    }

    private static Target target(Results results, PeerTask task, Side side, boolean step, double limit) {
        ToDoubleFunction<Cost> of = step ? Cost::step : Cost::forward;
        boolean isLstm = task.adapted() == LayerType.RECURRENT;
        // An LSTM's limits with oneDNN are not those without.
        boolean needsOneDnn = isLstm && side != Side.LORA_WITHOUT_ONEDNN;
        double here = needsOneDnn && !results.hasOneDnn() ? Double.NaN
                : of.applyAsDouble(cost(results, task, side, Settings.ONE_THREAD));
        String how = (!isLstm ? "" : needsOneDnn ? ", with oneDNN" : ", without oneDNN")
                + (side == Side.LORA_BF16 ? ", base in BF16" : "");
        return new Target("LoRA / PyTorch LoRA, one thread, " + (step ? "" : "forward pass, ") + task.title() + how, limit,
                here / ofPyTorch(results, task, Side.PYTORCH_LORA, Settings.ONE_THREAD, of));
    }

    static List<Table> tables(Results results) {
        return List.of(table(results, "Convolutions", LayerType.CONVOLUTION), table(results, "LSTMs", LayerType.RECURRENT),
                table(results, "Embeddings", LayerType.EMBEDDING), table(results, "Attention", LayerType.ATTENTION));
    }

    private static Table table(Results results, String title, LayerType adapted) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(List.of("", "ms per step", "/ PyTorch", "/ PyTorch, tuned", "ms, forward pass", "/ PyTorch", "/ PyTorch, tuned",
                "gradients differ by"));
        results.peers.forEach((task, costs) -> costs.forEach((run, cost) -> {
            if (task.adapted() != adapted) {
                return;
            }
            List<String> row = new ArrayList<>(List.of(task.title() + "; " + run.title()));
            for (ToDoubleFunction<Cost> of : List.<ToDoubleFunction<Cost>>of(Cost::step, Cost::forward)) {
                row.add(Table.number(of.applyAsDouble(cost)));
                for (Side peer : List.of(Side.PYTORCH_LORA, Side.PYTORCH_TUNED)) {
                    row.add(run.side().isPyTorch() ? "" : Table.number(of.applyAsDouble(cost)
                            / ofPyTorch(results, task, peer, run.settings(), of)));
                }
            }
            Double difference = results.differences.getOrDefault(task, Map.of()).get(run.side());
            row.add(run.side().isPyTorch() ? "" : difference == null ? "absent" : String.format(Locale.ROOT, "%.0e", difference));
            rows.add(row);
        }));
        return new Table(title, "LoRA of rank 8 on these layers, a trained output layer of ten classes, Adam; the forward pass "
                + "is the adapted network's. Medians of the turns' medians. Beside threads settled stands the faster of "
                + "PyTorch's own default and one thread. Tuned is PyTorch with images in channels_last, LSTMs without oneDNN, an "
                + "embedding's A with a word's values side by side, and attention of plain products. The last column is how far "
                + "the gradient that differs most is from PyTorch's, from the same parameters, relative to its size.", rows);
    }
}
