package io.github.dl4jlora.benchmarks;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

import static io.github.dl4jlora.benchmarks.Settings.AS_FOUND;
import static io.github.dl4jlora.benchmarks.Settings.BY_HAND;
import static io.github.dl4jlora.benchmarks.Settings.ONE_THREAD;
import static io.github.dl4jlora.benchmarks.Settings.SETTLED;
import static io.github.dl4jlora.benchmarks.Side.DL4J_FULL;
import static io.github.dl4jlora.benchmarks.Side.LORA;
import static io.github.dl4jlora.benchmarks.Side.LORA_BF16;
import static io.github.dl4jlora.benchmarks.Side.LORA_BF16_PACKED;
import static io.github.dl4jlora.benchmarks.Side.LORA_INT8;
import static io.github.dl4jlora.benchmarks.Side.LORA_PACKED;
import static io.github.dl4jlora.benchmarks.Side.PYTORCH_LORA;

/**
 * A promised limit of a figure.
 *
 * @param limit must not be exceeded
 * @param value NaN where it was not measured
 */
record Target(String what, double limit, double value) {

    /** Arrays in a step of three layers 256 wide in the first version of 0.2.0, before fewer were made. */
    private static final double ARRAYS_BEFORE = 97;

    boolean isMeasured() {
        return !Double.isNaN(value);
    }

    String verdict() {
        return !isMeasured() ? "not measured" : value <= limit ? "met" : "missed";
    }

    static List<Target> of(Results results) {
        List<Target> targets = new ArrayList<>();
        targets.add(dense(results, LORA, 2048, 0.79));
        targets.add(dense(results, LORA, 1024, 0.68));
        targets.add(dense(results, LORA, 256, 0.78));
        targets.add(dense(results, LORA_PACKED, 2048, 0.65));
        targets.add(dense(results, LORA_PACKED, 1024, 0.58));
        targets.add(dense(results, LORA_PACKED, 256, 0.75));
        for (Side side : List.of(LORA_BF16, LORA_BF16_PACKED, LORA_INT8)) {
            for (int width : new int[] {2048, 1024, 256}) {
                targets.add(dense(results, side, width, width == 256 ? 0.75 : 0.48));
            }
        }
        targets.add(new Target("LoRA / PyTorch LoRA, one thread, transformer's shapes", 1,
                results.ratio(Shape.transformer(), LORA, PYTORCH_LORA)));
        targets.add(new Target("nothing set, threads settled: LoRA / PyTorch LoRA at its own default, 2048 wide", 0.55,
                settled(results, 2048) / results.step(Shape.of(2048), PYTORCH_LORA, AS_FOUND)));
        targets.add(new Target("nothing set, threads settled: LoRA / PyTorch LoRA on one thread, 256 wide", 1.30,
                settled(results, 256) / results.step(Shape.of(256), PYTORCH_LORA, ONE_THREAD)));
        for (int width : new int[] {256, 1024, 2048}) {
            // The smaller of two, where both were measured.
            double best = Math.min(results.step(Shape.of(width), LORA, ONE_THREAD), results.step(Shape.of(width), LORA, BY_HAND));
            targets.add(new Target("nothing set, threads settled / best setting by hand, LoRA, " + width + " wide", 1.15,
                    settled(results, width) / best));
        }
        for (Settings settings : List.of(ONE_THREAD, SETTLED)) {
            for (int width : new int[] {2048, 256}) {
                Shape shape = Shape.of(width);
                targets.add(new Target("LoRA / DL4J full fine-tuning, " + settings.title() + " both, " + width + " wide",
                        width == 256 ? 0.38 : 0.24,
                        results.step(shape, LORA, settings) / results.step(shape, DL4J_FULL, settings)));
            }
        }
        targets.add(encoder(results, EncoderTask.STEP, 0.85));
        targets.add(encoder(results, EncoderTask.STEP_BF16, 0.60));
        targets.add(encoder(results, EncoderTask.STEP_BF16_PACKED, 0.60));
        targets.add(encoder(results, EncoderTask.STEP_INT8, 0.60));
        targets.add(encoder(results, EncoderTask.FORWARD, 1));
        targets.add(encoder(results, EncoderTask.FROZEN_FORWARD, 1.05));
        for (Settings settings : List.of(SETTLED, ONE_THREAD)) {
            for (BertBaseTask task : List.of(BertBaseTask.STEP, BertBaseTask.FORWARD)) {
                targets.add(bertBase(results, settings, task, ": time", 1,
                        cost -> cost.here().millis() / cost.pyTorch().millis()));
            }
        }
        for (BertBaseTask task : List.of(BertBaseTask.STEP_INT8, BertBaseTask.FORWARD_INT8)) {
            targets.add(bertBase(results, ONE_THREAD, task, ": time", 0.65,
                    cost -> cost.here().millis() / cost.pyTorch().millis()));
        }
        targets.add(bertBase(results, SETTLED, BertBaseTask.STEP_INT8, ": memory, in all", 0.6,
                cost -> cost.here().peak() / cost.pyTorch().peak()));
        targets.add(new Target("resident memory above the base, 256 wide, " + ResidentChild.STEPS
                + " steps, -Xmx1g, threads settled, MB", 300, results.resident.containsKey(new Results.Run(LORA, SETTLED))
                ? results.resident.get(new Results.Run(LORA, SETTLED)) / 1e6 : Double.NaN));
        targets.add(new Target("arrays made in a LoRA step of three layers / those before fewer were made", 0.5,
                results.made.containsKey(LORA) ? results.made.get(LORA).arrays() / ARRAYS_BEFORE : Double.NaN));
        targets.addAll(TextMeasurements.targets(results));
        targets.addAll(PeerMeasurements.targets(results));
        targets.addAll(StorageMeasurements.targets(results));
        targets.addAll(OnnxMeasurements.targets(results));
        targets.addAll(ServingMeasurements.targets(results));
        targets.addAll(PlanMeasurements.targets(results));
        return targets;
    }

    private static Target bertBase(Results results, Settings settings, BertBaseTask task, String of, double limit,
            ToDoubleFunction<Results.BertBase> ratio) {
        Results.BertBase cost = results.bertBase.getOrDefault(settings, Map.of()).get(task);
        return new Target("BERT-base / PyTorch, " + settings.titleBesidePyTorch() + ", " + task.title() + of, limit,
                cost == null ? Double.NaN : ratio.applyAsDouble(cost));
    }

    private static Target dense(Results results, Side side, int width, double limit) {
        return new Target(side.title() + " / PyTorch LoRA, one thread, " + width + " wide", limit,
                results.ratio(Shape.of(width), side, PYTORCH_LORA));
    }

    private static double settled(Results results, int width) {
        return results.step(Shape.of(width), LORA, SETTLED);
    }

    private static Target encoder(Results results, EncoderTask task, double limit) {
        Results.Encoder of = results.encoder.containsKey(ONE_THREAD) ? results.encoder.get(ONE_THREAD).get(task) : null;
        return new Target("a BERT encoder / PyTorch, one thread: " + task.title(), limit,
                of == null ? Double.NaN : of.here() / of.pyTorch());
    }
}
