package io.github.dl4jlora;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.run.Adapter;
import io.github.dl4jlora.variant.DoRA;
import io.github.dl4jlora.variant.PlainLoRA;
import org.deeplearning4j.nn.api.Layer;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.ops.transforms.Transforms;

import java.util.ArrayList;
import java.util.List;

/**
 * What makes DoRA's gradient one of finite differences: to it the norms are constants, and they are if m follows them while A
 * and B move.
 */
public final class Magnitudes {

    private final List<Magnitude> all = new ArrayList<>();

    private record Magnitude(Adapter adapter, AdaptedParameter matrix, INDArray norms) {
    }

    /** Remembers the norms as they are. */
    public Magnitudes(Model network) {
        Layer[] layers = network instanceof ComputationGraph graph ? graph.getLayers()
                : ((MultiLayerNetwork) network).getLayers();
        for (Layer layer : layers) {
            AdaptedRuntime running = AdaptedRuntime.of(layer);
            if (running != null) {
                Adapter adapter = running.adapter();
                adapter.configuration().adapted().stream().filter(matrix -> magnitude(adapter, matrix) != null)
                        .forEach(matrix -> all.add(new Magnitude(adapter, matrix, norms(adapter, matrix))));
            }
        }
    }

    /** Scales each m as its norm has grown since, so that m / ‖V‖ is what it was but for what has been done to m itself. */
    public void follow() {
        all.forEach(magnitude -> magnitude(magnitude.adapter, magnitude.matrix)
                .muli(norms(magnitude.adapter, magnitude.matrix).div(magnitude.norms)));
    }

    private static INDArray magnitude(Adapter adapter, AdaptedParameter matrix) {
        return adapter.parts(matrix.key()).get(DoRA.MAGNITUDE);
    }

    /** ‖W + s·A·B‖ {@code [1, nOut]}. */
    private static INDArray norms(Adapter adapter, AdaptedParameter matrix) {
        AdaptedConfiguration lora = adapter.configuration();
        INDArray w = lora.stockTable(adapter.stock().flat().dup(), false).get(matrix.key());
        INDArray v = lora.matrices().forms().get(matrix.key()).viewOf(w);
        new PlainLoRA().merge(v, adapter.parts(matrix.key()), matrix.factor());
        return Transforms.sqrt(v.mul(v).sum(true, 0));
    }
}
