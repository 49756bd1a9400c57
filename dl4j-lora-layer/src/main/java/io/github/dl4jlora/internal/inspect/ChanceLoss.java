package io.github.dl4jlora.internal.inspect;

import io.github.dl4jlora.internal.network.Network;
import io.github.dl4jlora.internal.network.Networks;
import io.github.dl4jlora.internal.network.Node;
import io.github.dl4jlora.internal.network.ThawedNetwork;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.nd4j.linalg.activations.impl.ActivationSigmoid;
import org.nd4j.linalg.activations.impl.ActivationSoftmax;
import org.nd4j.linalg.lossfunctions.ILossFunction;
import org.nd4j.linalg.lossfunctions.impl.LossBinaryXENT;
import org.nd4j.linalg.lossfunctions.impl.LossMCXENT;

import java.util.List;
import java.util.OptionalDouble;

/** The loss of a classifier that knows nothing: ln(classes) of a softmax, ln 2 for each output of a sigmoid. */
public final class ChanceLoss {

    private ChanceLoss() {
    }

    /** Empty unless the network's one output is such a classifier, without weights for classes. */
    public static OptionalDouble of(Model model) {
        Network<?> network = ThawedNetwork.of(Networks.of(model));
        return network.nodes().stream().filter(node -> network.outputs().equals(List.of(node.name())))
                .filter(node -> node.layer() != null).map(Node::unwrappedLayer).filter(OutputLayer.class::isInstance)
                .map(OutputLayer.class::cast).findFirst().map(ChanceLoss::of).orElse(OptionalDouble.empty());
    }

    private static OptionalDouble of(OutputLayer output) {
        ILossFunction loss = output.getLossFn();
        if (loss instanceof LossMCXENT entropy && entropy.getWeights() == null
                && output.getActivationFn() instanceof ActivationSoftmax) {
            return OptionalDouble.of(Math.log(output.getNOut()));
        }
        return loss instanceof LossBinaryXENT binary && binary.getWeights() == null
                && output.getActivationFn() instanceof ActivationSigmoid
                ? OptionalDouble.of(output.getNOut() * Math.log(2)) : OptionalDouble.empty();
    }
}
