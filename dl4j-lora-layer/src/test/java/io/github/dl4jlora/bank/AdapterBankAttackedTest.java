package io.github.dl4jlora.bank;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.adapter.Adapters;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.variant.Parameter;
import io.github.dl4jlora.variant.PlainLoRA;
import io.github.dl4jlora.variant.Variant;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.graph.rnn.LastTimeStepVertex;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.preprocessor.FeedForwardToRnnPreProcessor;
import org.deeplearning4j.nn.conf.preprocessor.RnnToFeedForwardPreProcessor;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.learning.config.Sgd;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** What a reviewer found who asked banks in an order, or for things, that nobody had thought of. */
class AdapterBankAttackedTest {

    private static final double CLOSE = 2e-5;
    private static final String[] NAMES = {AdapterBank.BASE, "b", AdapterBank.BASE, "a"};

    private static ComputationGraph network(ComputationGraphConfiguration conf) {
        ComputationGraph network = Networks.of(conf);
        network.params().addi(Networks.random(DataType.FLOAT, 4, network.params().shape()).muli(0.2));
        return network;
    }

    private static ComputationGraph tuned(ComputationGraph base, long seed, String... targets) {
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets(targets).build());
        tuned.params().addi(Networks.random(DataType.FLOAT, seed, tuned.params().shape()).muli(0.3));
        return tuned;
    }

    /** Of two branches one has rows by example, three for each; the other has its steps as rows, of all examples first. */
    private static ComputationGraph branches() {
        return network(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).activation(Activation.TANH)
                .graphBuilder().addInputs("tok", "seq")
                .addVertex("rows", new ReshapeVertex('c', new int[] {-1, 4}, null), "tok")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(5).build(), "rows")
                .addVertex("texts", new ReshapeVertex('c', new int[] {-1, 15}, null), "fc")
                .addLayer("lstm", new LSTM.Builder().nIn(3).nOut(4).build(), "seq")
                .addLayer("td", new DenseLayer.Builder().nIn(4).nOut(4).build(), new RnnToFeedForwardPreProcessor(), "lstm")
                .addLayer("lstm2", new LSTM.Builder().nIn(4).nOut(4).build(), new FeedForwardToRnnPreProcessor(), "td")
                .addVertex("last", new LastTimeStepVertex("seq"), "lstm2")
                .addVertex("both", new MergeVertex(), "texts", "last")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(19).nOut(3).activation(Activation.IDENTITY)
                        .build(), "both").setOutputs("out").build());
    }

    @Test
    void whatOneStepToldOfOneLayerIsNotBelievedOfAnother() {
        ComputationGraph base = branches();
        ComputationGraph a = tuned(base, 1, "fc", "td", "out");
        ComputationGraph b = tuned(base, 2, "fc", "td", "out");
        INDArray tok = Networks.random(DataType.FLOAT, 5, 4, 12);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", LoRAAdapter.of(a));
            bank.add("b", LoRAAdapter.of(b));
            for (int steps : new int[] {1, 5, 1, 7}) {
                INDArray seq = Networks.random(DataType.FLOAT, 6, 4, 3, steps);

                INDArray output = bank.outputs(NAMES, tok, seq)[0];

                ComputationGraph[] networks = {base, b, base, a};
                for (int row = 0; row < 4; row++) {
                    assertThat(output.getRow(row).distance2(networks[row].output(tok, seq)[0].getRow(row)))
                            .as(NAMES[row] + " after " + steps + " steps").isLessThan(CLOSE);
                }
            }
        }
    }

    /** A user's own, which doubles what it computes. */
    public static final class Doubling implements Variant {

        private static final long serialVersionUID = 1L;

        @Override
        public String name() {
            return "doubling";
        }

        @Override
        public List<Parameter> parameters(long nIn, long nOut, int rank) {
            return new PlainLoRA().parameters(nIn, nOut, rank);
        }

        @Override
        public boolean isAdditive() {
            return false;
        }
    }

    @Test
    void aVariantThatRoutesCannotComputeIsRefused() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter own = LoRAAdapter.of(LoRA.apply(base, LoRAConfig.builder().rank(2).variant(new Doubling()).build()));
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            assertThatIllegalArgumentException().isThrownBy(() -> bank.add("own", own))
                    .withMessageContainingAll("\"fc1\"", "doubling", "LoRA.merge");
            assertThat(bank.names()).isEmpty();
        }
    }

    private static ComputationGraph tokens() {
        return network(new NeuralNetConfiguration.Builder().seed(3).updater(new Sgd(0.1)).activation(Activation.IDENTITY)
                .graphBuilder().addInputs("in")
                .addVertex("rows", new ReshapeVertex('c', new int[] {-1, 4}, null), "in")
                .addLayer("fc", new DenseLayer.Builder().nIn(4).nOut(5).hasBias(false).build(), "rows")
                .addLayer("out", new OutputLayer.Builder(LossFunction.MSE).nIn(5).nOut(2).hasBias(false)
                        .activation(Activation.IDENTITY).build(), "fc").setOutputs("out").build());
    }

    @Test
    void requestsThatTellNothingSpoilNothing() {
        ComputationGraph base = tokens();
        ComputationGraph a = tuned(base, 1, "fc");
        ComputationGraph b = tuned(base, 2, "fc", "out");
        INDArray good = Networks.random(DataType.FLOAT, 5, 4, 12);
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", LoRAAdapter.of(a));
            bank.add("b", LoRAAdapter.of(b));
            // Rows that are no multiple of examples, zeros, and not a number.
            assertThatThrownBy(() -> bank.output(NAMES, Nd4j.ones(4, 10))).isInstanceOf(RuntimeException.class);
            for (INDArray idle : new INDArray[] {Nd4j.zeros(4, 12), Nd4j.valueArrayOf(new long[] {4, 12}, Double.NaN)}) {
                for (int i = 0; i < 6; i++) {
                    assertThatThrownBy(() -> bank.output(NAMES, idle)).hasMessageContaining("cannot be assigned to adapters");
                }
            }
            INDArray output = null;
            for (int i = 0; i < 5000 && output == null; i++) {
                try {
                    output = bank.output(NAMES, good);
                } catch (IllegalArgumentException notYet) {
                    assertThat(notYet).hasMessageContaining("cannot be assigned to adapters");
                }
            }

            ComputationGraph[] networks = {base, b, base, a};
            assertThat(output).as("after a while somebody can").isNotNull();
            for (int row = 0; row < 12; row++) {
                assertThat(output.getRow(row).distance2(networks[row / 3].outputSingle(good).getRow(row))).isLessThan(CLOSE);
            }
        }
    }

    @Test
    void viewsAreInputsToo() {
        ComputationGraph base = Networks.trainedGraph();
        LoRAAdapter a = Adapters.on(base, LoRAConfig.builder().rank(2), 1);
        INDArray view = Networks.random(DataType.FLOAT, 5, 4, Networks.IN + 3)
                .get(NDArrayIndex.all(), NDArrayIndex.interval(1, Networks.IN + 1));
        try (AdapterBank bank = new AdapterBank(base, 1)) {
            bank.add("a", a);
            String[] names = {"a", AdapterBank.BASE, "a", AdapterBank.BASE};

            assertThat(bank.output(names, view)).isEqualTo(bank.output(names, view.dup()));
            assertThatIllegalArgumentException().isThrownBy(() -> bank.outputs(List.of())).withMessageContaining("no input");
        }
    }
}
