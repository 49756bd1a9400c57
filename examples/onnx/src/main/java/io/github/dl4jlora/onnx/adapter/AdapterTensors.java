package io.github.dl4jlora.onnx.adapter;

import io.github.dl4jlora.internal.content.AdapterContent;
import io.github.dl4jlora.internal.content.Biases;
import io.github.dl4jlora.internal.content.Delta;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.onnx.OnnxExportException;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * An adapter as values of a graph's inputs:
 *
 * <pre>
 * name.lora_A      [nIn, rank]     name.lora_B            [rank, nOut]
 * name.lora_scale  []              name.lora_magnitude    [nOut]        of DoRA: what outputs are multiplied by
 * name.bias        [length]        module.parameter                     of layers trained in full, shaped as in PyTorch
 * </pre>
 */
public final class AdapterTensors {

    static final String A = ".lora_A";
    static final String B = ".lora_B";
    static final String SCALE = ".lora_scale";
    static final String MAGNITUDE = ".lora_magnitude";

    /** What a batch normalisation alone has, in PyTorch's words and in DL4J's. */
    private static final Set<String> VARIANCES = Set.of("running_var", "var", "log10stdev");

    private AdapterTensors() {
    }

    /**
     * The values by the input's name.
     *
     * @param view a network that has the adapter; null: what depends on the base is refused
     * @throws OnnxExportException if the adapter has something that no input stands for
     */
    public static Map<String, INDArray> of(AdapterContent adapter, @Nullable AdaptedView view) {
        Map<String, INDArray> tensors = new LinkedHashMap<>();
        adapter.deltas().forEach((name, delta) -> addMatrix(tensors, name, delta,
                view == null ? null : Objects.requireNonNull(view.adaptedMatrices().get(name))));
        adapter.biases().values().forEach((name, value) -> tensors.put(name + Biases.SUFFIX, value.reshape(value.length())));
        adapter.trained().forEach((module, values) -> {
            if (!Collections.disjoint(values.keySet(), VARIANCES)) {
                throw OnnxExportException.of(module, "it is a batch normalisation that was trained in full, which no base takes "
                        + "as inputs", "Merge the adapter instead, with LoRA.merge, and write the network");
            }
            values.forEach((parameter, value) -> tensors.put(module + "." + parameter, value));
        });
        return tensors;
    }

    private static void addMatrix(Map<String, INDArray> tensors, String name, Delta delta,
                                  AdaptedView.@Nullable AdaptedMatrix matrix) {
        Variant variant = delta.kind().variant();
        INDArray scale = matrix == null ? null : matrix.outputScale(variant, delta.parts(), delta.factor());
        if (matrix == null && (!variant.isAdditive() || delta.has(Delta.LORA_BIAS))) {
            throw OnnxExportException.of(name, "what " + (variant.isAdditive() ? "PEFT's lora_bias" : variant.name())
                    + " does depends on the base", "Use OnnxAdapter.write(adapter, base, path)");
        }
        requireScale(name, variant, scale);
        INDArray a = delta.a();
        INDArray b = delta.b();
        if (delta.kind().init().isTakenFromW()) {
            if (!delta.has(Variant.START_A)) {
                throw OnnxExportException.of(name, "LoRAInit." + delta.kind().init()
                        + " took its start from W, and the adapter's file does not hold it",
                        "Use OnnxAdapter.write(adapter, base, path)");
            }
            // W − s·A0·B0 + s·A·B, on a W that stays whole.
            a = Nd4j.concat(1, a, delta.more().get(Variant.START_A));
            b = Nd4j.concat(0, b, Objects.requireNonNull(delta.more().get(Variant.START_B)).neg());
        }
        tensors.put(name + A, a);
        tensors.put(name + B, b);
        tensors.put(name + SCALE, Nd4j.scalar((float) delta.factor()));
        if (scale != null) {
            tensors.put(name + MAGNITUDE, scale.reshape(scale.length()));
        }
        INDArray bias = delta.parts().get(DefaultParamInitializer.BIAS_KEY);
        if (bias != null) {
            tensors.put(name + Biases.SUFFIX, bias.reshape(bias.length()));
        }
    }

    /**
     * @param scale what outputs are multiplied by; null if nobody knows
     * @throws OnnxExportException for a variant that does more than add to W and scale outputs
     */
    static void requireScale(String name, Variant variant, @Nullable INDArray scale) {
        if (scale == null && !variant.isAdditive()) {
            throw OnnxExportException.of(name, variant.name() + " does more than add to W and scale outputs here",
                    "Merge it instead, with LoRA.merge, and write the network");
        }
    }
}
