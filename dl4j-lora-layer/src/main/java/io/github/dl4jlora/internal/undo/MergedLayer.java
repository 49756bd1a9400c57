package io.github.dl4jlora.internal.undo;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.adapted.TrainedBias;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.inspect.AdaptedView;
import io.github.dl4jlora.internal.network.BaseValues;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.stock.MatrixForm;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.layer.LowRankLayer;
import io.github.dl4jlora.report.LoRAMergeReport;
import io.github.dl4jlora.variant.PlainLoRA;
import org.deeplearning4j.nn.api.Trainable;
import org.deeplearning4j.nn.params.DefaultParamInitializer;
import org.jspecify.annotations.Nullable;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * What merging makes of one adapted layer.
 *
 * @param base the stock layer's values without ΔW, flat; not written to
 */
record MergedLayer(Node node, Trainable runtime, INDArray base) {

    static MergedLayer of(Network<?> adapted, Node node) {
        return new MergedLayer(node, adapted.runtime(node.name()), BaseValues.of(adapted, node));
    }

    /**
     * The stock layer's values with ΔW, flat, an array of its own.
     *
     * @throws IllegalStateException if one would be NaN or infinite
     */
    INDArray merged(double weight) {
        INDArray merged = base.dup();
        mergeInto(Objects.requireNonNull(node.adapted()).stockTable(merged, false), weight);
        requireFinite(node, merged);
        return merged;
    }

    /**
     * Writes what the adapters make of them into the parameters of the stock layer.
     *
     * @param stock  the base's parameters, of any floating point type
     * @param weight of ΔW, as if the layer were scaled by it
     */
    void mergeInto(Map<String, INDArray> stock, double weight) {
        AdaptedRuntime running = AdaptedRuntime.of(runtime);
        AdaptedConfiguration lora = running != null ? running.adapter().configuration()
                : Objects.requireNonNull(node.adapted());
        for (AdaptedParameter matrix : lora.adapted()) {
            MatrixForm form = lora.matrices().form(matrix.key());
            INDArray target = Objects.requireNonNull(stock.get(matrix.key()));
            Map<String, INDArray> parts = AdaptedView.parts(runtime, lora, matrix);
            double factor = weight * (running != null ? running.adapter().factor(matrix) : matrix.factor());
            parts.replaceAll((part, value) -> value.castTo(target.dataType()));
            lora.settings().variant().merge(form.viewOf(target), parts, factor);
        }
        for (TrainedBias bias : lora.biases()) {
            INDArray target = Objects.requireNonNull(stock.get(bias.key()));
            INDArray trained = Objects.requireNonNull(runtime.paramTable(false).get(bias.key()));
            target.assign(trained.reshape('c', target.shape()));
        }
    }

    /** Writes s·A·B into the W, of zeros, of the dense layer that computes what a lone path computes. */
    static void mergeAlone(LowRankLayer path, Trainable runtime, Map<String, INDArray> stock) {
        new PlainLoRA().merge(Objects.requireNonNull(stock.get(DefaultParamInitializer.WEIGHT_KEY)), runtime.paramTable(false),
                path.factor());
    }

    static void requireFinite(Node node, INDArray merged) {
        if (RawValues.firstNotFinite(merged) >= 0) {
            throw new IllegalStateException("Layer \"" + node.name() + "\": the merged weights hold NaN or infinity. The adapter "
                    + "has diverged. " + Divergence.remedy(merged.dataType()) + ". Nothing was merged");
        }
    }

    /**
     * What is lost by rounding, and how far weights move; a row for each adapted parameter.
     *
     * @param original the original base's values, flat; null: not given
     */
    List<LoRAMergeReport.Row> report(double weight, @Nullable INDArray original) {
        AdaptedConfiguration lora = Objects.requireNonNull(node.adapted());
        INDArray sums = base.castTo(DataType.DOUBLE).dup();
        Map<String, INDArray> exact = lora.stockTable(sums, false);
        mergeInto(exact, weight);
        Map<String, INDArray> rounded = lora.stockTable(merged(weight).castTo(DataType.DOUBLE), false);
        Map<String, INDArray> before = lora.stockTable(base.castTo(DataType.DOUBLE), false);
        Map<String, INDArray> was = original == null ? null
                : lora.stockTable(original.reshape(original.length()).castTo(DataType.DOUBLE), false);
        List<LoRAMergeReport.Row> rows = new ArrayList<>();
        for (AdaptedParameter parameter : lora.adapted()) {
            INDArray w = Objects.requireNonNull(before.get(parameter.key()));
            INDArray sum = Objects.requireNonNull(exact.get(parameter.key()));
            INDArray result = Objects.requireNonNull(rounded.get(parameter.key()));
            double change = norm(sum.sub(w));
            double lost = norm(result.sub(sum));
            INDArray moved = Transforms.abs(result.sub(w));
            rows.add(new LoRAMergeReport.Row(MatrixName.of(node, parameter.key()).module(),
                    change == 0 ? 1 : Math.max(0, 1 - lost / change), moved.maxNumber().doubleValue(),
                    change == 0 ? 0 : change / norm(w),
                    was == null ? Double.NaN : error(w, Objects.requireNonNull(was.get(parameter.key())))));
        }
        return rows;
    }

    private static double error(INDArray kept, INDArray original) {
        double lost = norm(kept.sub(original));
        return lost == 0 ? 0 : lost / norm(original);
    }

    private static double norm(INDArray array) {
        return array.norm2Number().doubleValue();
    }
}
