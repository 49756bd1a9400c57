package io.github.dl4jlora.integration;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.MultiDataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import static org.assertj.core.api.Assertions.assertThat;

/** A batch's mask counts for that batch. DL4J's SameDiff vertices keep it for the next one. */
class OwnMasksTest {

    /** How DL4J's own SameDiff vertex runs in an adapted network. */
    enum Way {
        TRAINED, FROZEN, ON_EFFECTIVE_WEIGHTS;

        ComputationGraph network() {
            boolean projects = this != FROZEN;
            ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).graphBuilder()
                    .addInputs("in").setInputTypes(InputType.recurrent(4, 5))
                    .addVertex("attention", new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4)
                            .nHeads(projects ? 2 : 1).projectInput(projects).build(), "in", "in", "in")
                    .addLayer("out", new RnnOutputLayer.Builder(LossFunction.MSE).activation(Activation.IDENTITY).nOut(2).build(),
                            "attention").setOutputs("out").build());
            base.init();
            LoRAConfig.Builder config = LoRAConfig.builder().rank(1);
            return LoRA.apply(base, switch (this) {
                case TRAINED -> config.targets("out").trainable("attention").build();
                case FROZEN -> config.targets("out").build();
                case ON_EFFECTIVE_WEIGHTS -> config.targets("attention").trainable("out").engine(Engine.EFFECTIVE_WEIGHTS)
                        .build();
            });
        }
    }

    @ParameterizedTest
    @EnumSource
    void aScoreLeavesNoMaskToTheNextBatch(Way way) {
        ComputationGraph network = way.network();
        INDArray x = Networks.random(DataType.FLOAT, 1, 2, 4, 5);
        INDArray expected = network.outputSingle(x).dup();
        INDArray mask = Nd4j.createFromArray(new float[][] {{1, 1, 0, 0, 0}, {1, 0, 0, 0, 0}});
        MultiDataSet masked = new MultiDataSet(new INDArray[] {x}, new INDArray[] {Nd4j.zeros(DataType.FLOAT, 2, 2, 5)},
                new INDArray[] {mask}, new INDArray[] {mask});

        network.score(masked);
        assertThat(network.outputSingle(x)).isEqualTo(expected);
    }
}
