package io.github.dl4jlora.internal.build;

import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.adapted.AdaptedParameter;
import io.github.dl4jlora.internal.network.MatrixName;
import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.api.Trainable;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;

/**
 * What can only be done once training has begun. After the first step DL4J has made its updater, which is made a sparing one
 * ({@link SparingBlock}). And a fresh adapted network is watched for a gradient to every B; those that none has reached in the
 * first steps are named in one warning. As a rule all is done after the first step.
 *
 * <p>Who calls: DL4J has every layer apply its constraints after each step, and one adapted layer calls back then. DL4J's other
 * ways would be seen: users find a listener in their lists and lose it by {@code setListeners}, and a constraint of ours would
 * stand in the network's JSON. {@code NothingLearnedTest} fails where DL4J applies constraints less often, or more often, than
 * once a step.
 */
public final class FirstSteps {

    /**
     * Where A starts from zero, as for embeddings, B's first gradient comes in the second step; a warm-up may begin with 0. A
     * step may be made of several batches.
     */
    static final int STEPS = 5;

    private static final Logger LOG = LoggerFactory.getLogger(FirstSteps.class);

    private final Network<?> network;
    private final int watched;
    private final Map<String, INDArray> waiting = new LinkedHashMap<>();
    private int steps;

    private FirstSteps(Network<?> network) {
        this.network = network;
        this.watched = STEPS * Accumulation.batches(network);
    }

    /** For a fresh adapted network. */
    static void watch(Network<?> adapted) {
        afterSteps(adapted, new FirstSteps(adapted)::goOn);
    }

    /** For a network that has learned already: it is not watched. */
    public static void resume(Network<?> adapted) {
        afterSteps(adapted, () -> {
            SparingBlock.into(adapted.updater());
            return false;
        });
    }

    private static void afterSteps(Network<?> adapted, BooleanSupplier again) {
        adapted.nodes().stream().filter(node -> node.layer() != null)
                .map(adapted::adaptedRuntime).filter(running -> running != null).findFirst()
                .ifPresent(running -> running.adapter().afterSteps(again));
    }

    /** @return whether to be called again */
    private boolean goOn() {
        steps++;
        if (steps == 1) {
            SparingBlock.into(network.updater());
            network.nodes().forEach(this::waitFor);
        }
        // By now the gradient's place holds what DL4J subtracts from B: zero where the gradient was,
        // and where an update waits for more batches.
        waiting.values().removeIf(update -> update.amaxNumber().doubleValue() != 0);
        if (steps == watched && !waiting.isEmpty()) {
            LOG.warn("In {} steps of training no gradient reached B of {}: these layers learn nothing. Is a layer above them "
                    + "frozen by DL4J's FrozenLayer, dead or masked, or is the learning rate 0?", steps, List.copyOf(
                    waiting.keySet()));
        }
        return steps < watched && !waiting.isEmpty();
    }

    private void waitFor(Node node) {
        Trainable runtime = network.runtime(node.name());
        AdaptedConfiguration lora = node.adapted();
        if (lora != null && runtime.getGradientsViewArray() != null) {
            Map<String, INDArray> gradients = lora.layout().trainedViews(lora, runtime.getGradientsViewArray());
            for (AdaptedParameter parameter : lora.adapted()) {
                waiting.put(MatrixName.of(node, parameter.key()).module(), gradients.get(lora.key(parameter, Variant.B)));
            }
        }
    }
}
