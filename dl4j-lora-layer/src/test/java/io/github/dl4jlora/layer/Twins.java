package io.github.dl4jlora.layer;

import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.FrozenStorage;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.WorkspaceMode;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.FeedForwardLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.gradient.Gradient;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;

/**
 * A network whose layer 1 of 3 is a LoRADenseLayer, and the same network with a DenseLayer of W + s·A·B in its place.
 */
record Twins(MultiLayerNetwork lora, MultiLayerNetwork stock) {

    static final String A = "1_A";
    static final String B = "1_B";

    /** What the networks are made of; both layers get {@code common}. */
    static final class Recipe {

        private DataType type = DataType.DOUBLE;
        private WorkspaceMode workspaces = WorkspaceMode.ENABLED;
        private Consumer<FeedForwardLayer.Builder<?>> common = builder -> { };
        private Consumer<LoRADenseLayer.Builder> lora = builder -> { };
        private boolean hasBias = true;
        private boolean hasLayerNorm;
        private boolean headless;

        Recipe type(DataType type) {
            this.type = type;
            return this;
        }

        Recipe workspaces(WorkspaceMode mode) {
            this.workspaces = mode;
            return this;
        }

        Recipe common(Consumer<FeedForwardLayer.Builder<?>> settings) {
            this.common = settings;
            return this;
        }

        Recipe lora(Consumer<LoRADenseLayer.Builder> settings) {
            this.lora = settings;
            return this;
        }

        Recipe hasBias(boolean hasBias) {
            this.hasBias = hasBias;
            return this;
        }

        Recipe hasLayerNorm(boolean hasLayerNorm) {
            this.hasLayerNorm = hasLayerNorm;
            return this;
        }

        /** No output layer: the network ends with the layer under test, and takes its errors from outside. */
        Recipe headless() {
            this.headless = true;
            return this;
        }

        /** Both networks, A and B away from zero. */
        Twins build() {
            LoRADenseLayer.Builder adapted = new LoRADenseLayer.Builder().rank(2).alpha(0.7).hasBias(hasBias)
                    .hasLayerNorm(hasLayerNorm);
            DenseLayer.Builder dense = new DenseLayer.Builder().hasBias(hasBias).hasLayerNorm(hasLayerNorm);
            common.accept(adapted.nOut(Networks.HIDDEN));
            common.accept(dense.nOut(Networks.HIDDEN));
            lora.accept(adapted);
            Twins twins = new Twins(network(adapted.build()), network(dense.build()));
            Networks.randomizeAdapters(twins.lora.paramTable(), 5);
            twins.stock.paramTable().forEach((key, value) -> value.assign(twins.current(key)));
            twins.stock.getParam("1_W").addi(twins.delta());
            return twins;
        }

        private MultiLayerNetwork network(FeedForwardLayer middle) {
            NeuralNetConfiguration.ListBuilder layers = new NeuralNetConfiguration.Builder().seed(12).dataType(type)
                    .updater(new Sgd(0.1)).trainingWorkspaceMode(workspaces).inferenceWorkspaceMode(workspaces)
                    .activation(Activation.TANH).list()
                    .layer(new DenseLayer.Builder().nIn(Networks.IN).nOut(Networks.HIDDEN).build())
                    .layer(middle);
            if (!headless) {
                layers.layer(new OutputLayer.Builder(LossFunctions.LossFunction.MCXENT).nOut(Networks.OUT)
                        .activation(Activation.SOFTMAX).build());
            }
            return Networks.of(layers.build());
        }
    }

    LoRADenseLayer conf() {
        return (LoRADenseLayer) lora.getLayer(1).conf().getLayer();
    }

    private INDArray current(String key) {
        if (conf().getStorage() == FrozenStorage.EMBEDDED || !key.startsWith("1_")) {
            return lora.getParam(key);
        }
        INDArray values = conf().getFrozen().require("1").valuesAs(lora.params().dataType());
        return conf().stockTable(values, false).get(key.substring(2));
    }

    INDArray delta() {
        return lora.getParam(A).mmul(lora.getParam(B)).muli(conf().factor());
    }

    /** What dL/dW of the stock layer makes of dL/dA and dL/dB, by the chain rule; everything else as the stock network has it. */
    Map<String, INDArray> expectedGradients(DataSet data) {
        return byChainRule(gradients(stock, data));
    }

    Map<String, INDArray> byChainRule(Map<String, INDArray> stockGradients) {
        Map<String, INDArray> expected = new HashMap<>(stockGradients);
        INDArray dw = expected.remove("1_W");
        expected.remove("1_b");
        expected.remove("1_g");
        expected.put(A, dw.mmul(lora.getParam(B).transpose()).muli(conf().factor()));
        expected.put(B, lora.getParam(A).transpose().mmul(dw).muli(conf().factor()));
        return expected;
    }

    /** Copies of all gradients by name, of one pass over the data. */
    static Map<String, INDArray> gradients(MultiLayerNetwork network, DataSet data) {
        network.setInput(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(data.getFeaturesMaskArray(), data.getLabelsMaskArray());
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return copies(network.gradient());
    }

    static Map<String, INDArray> gradients(ComputationGraph network, DataSet data) {
        network.setInputs(data.getFeatures());
        network.setLabels(data.getLabels());
        network.setLayerMaskArrays(array(data.getFeaturesMaskArray()), array(data.getLabelsMaskArray()));
        network.computeGradientAndScore();
        network.clearLayerMaskArrays();
        return copies(network.gradient());
    }

    static Map<String, INDArray> copies(Gradient gradient) {
        Map<String, INDArray> copies = new HashMap<>();
        gradient.gradientForVariable().forEach((key, value) -> copies.put(key, value.dup()));
        return copies;
    }

    private static INDArray[] array(INDArray mask) {
        return mask == null ? null : new INDArray[]{mask};
    }

    static double largest(INDArray array) {
        return array.castTo(DataType.DOUBLE).amaxNumber().doubleValue();
    }
}
