package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.ScaledLearningRate;
import io.github.dl4jlora.internal.common.Divergence;
import io.github.dl4jlora.internal.engine.Kernels;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.TrainingConfig;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** Warns of what an adapted network may be, but is better not. */
final class AdaptationWarnings {

    private static final Logger LOG = LoggerFactory.getLogger(AdaptationWarnings.class);

    private AdaptationWarnings() {
    }

    /** @param ofAdapter whether the ranks are those of an adapter that exists, which cannot be asked for others */
    static void log(Network<?> adapted, boolean ofAdapter) {
        for (Node node : adapted.nodes()) {
            AdaptedConfiguration lora = node.adapted();
            if (lora != null) {
                ofRanks(node, lora, ofAdapter);
                ofRounding(node, lora, adapted);
            }
        }
        ofUpdaters(adapted);
        if (NetworkBuilder.isUntrainable(adapted)) {
            LOG.warn("fit will train nothing: only vertices are adapted, and DL4J does not train a ComputationGraph in which no "
                    + "layer has parameters. Outputs are right");
        }
    }

    static void ofRanks(Node node, AdaptedConfiguration lora, boolean ofAdapter) {
        lora.adapted().forEach(parameter -> {
            String name = MatrixName.of(node, parameter.key()).module();
            if (ofAdapter) {
                parameter.tellOfExcessRankOfAdapter(name);
            } else {
                parameter.warnOfExcessRank(name);
            }
        });
    }

    private static void ofRounding(Node node, AdaptedConfiguration lora, Network<?> adapted) {
        if (adapted.dataType().width() == 2 && !lora.adapted().isEmpty() && !lora.single()
                && !Kernels.run(lora, adapted.dataType())) {
            LOG.warn(
                    "Layer \"{}\" ({}) runs on W + s·A·B in {}: a change has no effect until it exceeds half a unit in the last "
                            + "place of the weight. Convert the network to FLOAT with convertDataType to train it", node.name(),
                    (lora.stockLayer() != null ? lora.stockLayer()
                            : Objects.requireNonNull(lora.stockVertex())).getClass().getSimpleName(),
                    adapted.dataType());
        }
    }

    /** B starts as zeros, and so the gradient of A is 0 in the first step. */
    private static void ofUpdaters(Network<?> adapted) {
        Map<String, List<String>> layers = new LinkedHashMap<>();
        for (Node node : adapted.nodes()) {
            AdaptedConfiguration lora = node.adapted();
            String why = lora == null || lora.adapted().isEmpty() ? null : Divergence.ofZeros(ScaledLearningRate.ofOneStep(
                    ((TrainingConfig) lora).getUpdaterByParam(lora.key(lora.adapted().get(0), Variant.B))), adapted.dataType());
            if (why != null) {
                layers.computeIfAbsent(why, key -> new ArrayList<>()).add(node.name());
            }
        }
        layers.forEach((why, names) -> LOG.warn("Layers {}: {}", names, why));
    }
}
