package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Models.Kind;
import io.github.dl4jlora.Models;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.api.NeuralNetwork;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.SimpleRnn;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.transferlearning.FineTuneConfiguration;
import org.deeplearning4j.nn.transferlearning.TransferLearning;
import org.deeplearning4j.nn.transferlearning.TransferLearningHelper;
import org.deeplearning4j.nn.weights.WeightInit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.Map;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

/** DL4J's own surgery on an adapted network. */
class TransferLearningTest {

    private static final double[] NOTHING = {};

    @ParameterizedTest
    @EnumSource
    void aFeatureExtractorStopsTrainingOfWhatIsBelow(Kind kind) {
        Model adapted = trained(kind);
        double[] before = Models.outputs(adapted);

        Model extracted = adapted instanceof ComputationGraph graph
                ? new TransferLearning.GraphBuilder(graph).setFeatureExtractor("fc1").build()
                : new TransferLearning.Builder((MultiLayerNetwork) adapted).setFeatureExtractor(0).build();

        assertThat(Models.outputs(extracted)).isEqualTo(before);
        Map<String, double[]> from = values(extracted);
        Models.fitSteps(extracted, 0, 3);
        Map<String, double[]> to = values(extracted);
        assertThat(to.get(key(kind, "fc1", "A"))).isEqualTo(from.get(key(kind, "fc1", "A")));
        assertThat(to.get(key(kind, "fc1", "B"))).isEqualTo(from.get(key(kind, "fc1", "B")));
        assertThat(to.get(key(kind, "fc2", "B"))).isNotEqualTo(from.get(key(kind, "fc2", "B")));
        assertThat(Models.frozen(extracted)).isEqualTo(Models.frozen(adapted));
        assertThat(Models.outputs(Models.merge(extracted))).containsExactly(Models.outputs(extracted), within(1e-5));
    }

    @ParameterizedTest
    @EnumSource
    void aNewHeadTrainsInFullBesideTheAdapters(Kind kind) {
        Model adapted = trained(kind);
        OutputLayer head = new OutputLayer.Builder(LossFunction.MCXENT).name("head").nIn(4).nOut(Networks.OUT)
                .activation(Activation.SOFTMAX).updater(new Sgd(0.1)).build();
        DenseLayer between = new DenseLayer.Builder().name("between").nIn(Networks.HIDDEN).nOut(4).activation(Activation.TANH)
                .updater(new Sgd(0.1)).build();
        INDArray features = Networks.random(DataType.FLOAT, 3, 4, Networks.IN);
        double[] hidden = hidden(adapted, features);

        Model edited = adapted instanceof ComputationGraph graph
                ? new TransferLearning.GraphBuilder(graph).removeVertexAndConnections("out").addLayer("between", between, "fc2")
                        .addLayer("head", head, "between").setOutputs("head").build()
                : new TransferLearning.Builder((MultiLayerNetwork) adapted)
                        .fineTuneConfiguration(new FineTuneConfiguration.Builder().seed(3).build()).removeOutputLayer()
                        .addLayer(between).addLayer(head).build();

        assertThat(hidden(edited, features)).isEqualTo(hidden);
        Map<String, double[]> from = values(edited);
        Models.fitSteps(edited, 0, 3);
        Map<String, double[]> to = values(edited);
        for (String key : new String[] {key(kind, "fc1", "B"), key(kind, "between", "W"), key(kind, "head", "W")}) {
            assertThat(to.get(key)).as(key).isNotEqualTo(from.get(key));
        }
        if (kind.isShared()) {
            Model before = Models.unload(adapted);
            Model after = Models.unload(edited);
            for (String layer : new String[] {"fc1", "fc2"}) {
                String key = key(kind, layer, "W");
                assertThat(values(after).get(key)).as(key).isEqualTo(values(before).get(key));
            }
            String added = key(kind, "head", "W");
            assertThat(values(after).get(added)).as("the base has none").isEqualTo(to.get(added));
        } else {
            assertThatThrownBy(() -> Models.unload(edited)).isInstanceOf(IllegalStateException.class)
                    .hasMessageContainingAll("\"between\", \"head\"", "LoRA.merge");
        }
        assertThat(Models.outputs(Models.merge(edited))).containsExactly(Models.outputs(edited), within(1e-5));
    }

    @ParameterizedTest
    @EnumSource
    void fineTuneConfigurationReachesTheAdaptersAndNothingFrozen(Kind kind) {
        Model adapted = trained(kind);
        FineTuneConfiguration tuning = new FineTuneConfiguration.Builder().updater(new Sgd(0.5)).activation(Activation.SIGMOID)
                .seed(3).build();

        Model tuned = adapted instanceof ComputationGraph graph
                ? new TransferLearning.GraphBuilder(graph).fineTuneConfiguration(tuning).build()
                : new TransferLearning.Builder((MultiLayerNetwork) adapted).fineTuneConfiguration(tuning).build();

        assertThat(Models.params(tuned)).isEqualTo(Models.params(adapted));
        assertThat(Models.updaterState(adapted)).isNotEmpty();
        assertThat(stateless(tuned)).as("updater state of SGD").isEqualTo(NOTHING);
        assertThat(Models.outputs(tuned)).isNotEqualTo(Models.outputs(adapted));
        Models.fitSteps(tuned, 0, 3);
        assertThat(Models.frozen(tuned)).isEqualTo(Models.frozen(adapted));
        assertThat(Models.outputs(Models.merge(tuned))).containsExactly(Models.outputs(tuned), within(1e-5));
    }

    @ParameterizedTest
    @EnumSource
    void anAdaptedLayerCannotBeResized(Kind kind) {
        Model adapted = trained(kind);
        ThrowingCallable outputs = () -> {
            if (adapted instanceof ComputationGraph graph) {
                new TransferLearning.GraphBuilder(graph).nOutReplace("fc1", 7, WeightInit.XAVIER).build();
            } else {
                new TransferLearning.Builder((MultiLayerNetwork) adapted).nOutReplace(0, 7, WeightInit.XAVIER).build();
            }
        };
        ThrowingCallable inputs = () -> {
            if (adapted instanceof ComputationGraph graph) {
                new TransferLearning.GraphBuilder(graph).nInReplace("fc1", 9, WeightInit.XAVIER).build();
            } else {
                new TransferLearning.Builder((MultiLayerNetwork) adapted).nInReplace(0, 9, WeightInit.XAVIER).build();
            }
        };

        assertThatThrownBy(outputs).isInstanceOf(IllegalStateException.class).hasMessageContaining("\"fc1\"")
                .hasMessageContaining("nOut cannot be changed from 5 to 7").hasMessageContaining("LoRA.merge");
        assertThatThrownBy(inputs).isInstanceOf(IllegalStateException.class).hasMessageContaining("\"fc1\"")
                .hasMessageContaining("nIn cannot be changed from 6 to 9").hasMessageContaining("LoRA.unload");
        assertThat(Models.outputs(adapted)).as("the network itself is as it was").hasSize(15).doesNotContain(Double.NaN);
        Models.fitSteps(adapted, 0, 1);
    }

    /** As the guide says: DL4J makes a new layer of the stock one, and knows no size of a frozen one in a MultiLayerNetwork. */
    @ParameterizedTest
    @EnumSource
    void aLayerThatIsOnlyFrozenIsReplacedInAGraphAlone(Kind kind) {
        Model adapted = Models.apply(kind.base(), kind.config().targets("fc1").build());
        if (adapted instanceof ComputationGraph graph) {
            ComputationGraph replaced = new TransferLearning.GraphBuilder(graph).nOutReplace("fc2", 7, WeightInit.XAVIER).build();
            assertThat(replaced.getLayer("fc2").paramTable().get("W").size(1)).isEqualTo(7);
        } else {
            assertThatThrownBy(() -> new TransferLearning.Builder((MultiLayerNetwork) adapted)
                    .nOutReplace(1, 7, WeightInit.XAVIER).build()).isInstanceOf(IllegalArgumentException.class);
        }
    }

    /** The helper makes a network of what is not frozen, in which what this library froze must stay so. */
    @ParameterizedTest
    @EnumSource(names = "LAYERS_.*", mode = EnumSource.Mode.MATCH_ALL)
    void aHelperTrainsTheAdaptersOnFeaturesComputedOnce(Kind kind) {
        MultiLayerNetwork adapted = (MultiLayerNetwork) Models.apply(kind.base(), kind.config().targets("fc2").build());
        double[] before = Models.outputs(adapted);
        INDArray input = Networks.random(DataType.FLOAT, 77, 5, Networks.IN);
        TransferLearningHelper helper = new TransferLearningHelper(adapted);
        DataSet features = helper.featurize(Networks.data(DataType.FLOAT, 8, 3));
        DataSet own = helper.featurize(new DataSet(input, Networks.data(DataType.FLOAT, 5, 3).getLabels()));

        assertThat(Models.values(helper.outputFromFeaturized(own.getFeatures()))).isEqualTo(before);
        for (int i = 0; i < 3; i++) {
            helper.fitFeaturized(features);
        }

        assertThat(Models.outputs(adapted)).isNotEqualTo(before)
                .isEqualTo(Models.values(helper.outputFromFeaturized(own.getFeatures())));
        assertThat(Models.frozen(adapted)).isEqualTo(Models.frozen(Models.apply(kind.base(), kind.config().build())));
    }

    /** DL4J's SameDiff layers double their gradients, but not in a network of this library. */
    @Test
    void aHelperTrainsASameDiffLayerAsFitDoes() {
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(1).list()
                .layer(new SimpleRnn.Builder().name("bottom").nIn(3).nOut(4).build())
                .layer(new SimpleRnn.Builder().name("middle").nIn(4).nOut(4).build())
                .layer(new SelfAttentionLayer.Builder().name("attention").nIn(4).nOut(4).nHeads(1).projectInput(true).build())
                .layer(new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nIn(4).nOut(2)
                        .build()).build());
        base.init();
        LoRAConfig config = LoRAConfig.builder().rank(2).targets("middle").trainable("attention").updater(new Sgd(0.1)).seed(1)
                .build();
        DataSet data = new DataSet(Networks.random(DataType.FLOAT, 1, 2, 3, 5), Networks.random(DataType.FLOAT, 2, 2, 2, 5));
        MultiLayerNetwork fitted = LoRA.apply(base, config);
        fitted.fit(data);
        MultiLayerNetwork helped = LoRA.apply(base, config);

        TransferLearningHelper helper = new TransferLearningHelper(helped, 0);
        helper.fitFeaturized(helper.featurize(data));

        assertThat(Networks.difference(helped.params(), fitted.params())).isLessThan(1e-6);
    }

    private static Model trained(Kind kind) {
        Model adapted = kind.adapt(kind.base());
        Models.fitSteps(adapted, 0, 3);
        return adapted;
    }

    private static double[] hidden(Model model, INDArray features) {
        return Models.values(model instanceof ComputationGraph graph ? graph.feedForward(features, false).get("fc2")
                : ((MultiLayerNetwork) model).feedForward(features, false).get(2));
    }

    private static double[] stateless(Model model) {
        INDArray state = ((NeuralNetwork) model).updaterState();
        return state == null ? NOTHING : Models.values(state);
    }

    private static String key(Kind kind, String layer, String parameter) {
        int index = java.util.List.of("fc1", "fc2", "between", "head").indexOf(layer);
        return (kind.graph ? layer : String.valueOf(index)) + "_" + parameter;
    }

    private static Map<String, double[]> values(Model model) {
        return model.paramTable().entrySet().stream().collect(Collectors.toMap(Map.Entry::getKey,
                entry -> Models.values(entry.getValue())));
    }
}
