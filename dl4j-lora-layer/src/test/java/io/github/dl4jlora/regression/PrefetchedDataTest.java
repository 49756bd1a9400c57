package io.github.dl4jlora.regression;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.Engine;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.internal.blas.HostMemory;
import org.deeplearning4j.datasets.iterator.IteratorDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.optimize.api.BaseTrainingListener;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Adam;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

/** DL4J reads most iterators ahead, on another thread, into a workspace that is closed when a network computes. */
class PrefetchedDataTest {

    private final List<DataSet> data = IntStream.range(0, 6).mapToObj(i -> Networks.data(DataType.FLOAT, 4, i)).toList();

    /** In batches of two of them, which it puts together. */
    private DataSetIterator ahead() {
        return new IteratorDataSetIterator(data.iterator(), 8);
    }

    /** Whether the library's kernels could read the inputs that it was told of. */
    private static final class Inputs extends BaseTrainingListener {

        private final List<Boolean> areRead = new ArrayList<>();

        @Override
        public void onForwardPass(Model model, List<INDArray> activations) {
            read(activations.get(0));
        }

        @Override
        public void onForwardPass(Model model, Map<String, INDArray> activations) {
            read(((ComputationGraph) model).getInput(0));
        }

        private void read(INDArray input) {
            assertThat(input.isAttached()).isTrue();
            areRead.add(HostMemory.holds(input));
        }
    }

    @ParameterizedTest
    @EnumSource(Quantization.class)
    void isReadByTheSameKernelsAsOther(Quantization quantization) {
        MultiLayerNetwork base = Networks.trainedLayers();
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(2).updater(new Adam(0.01)).quantize(quantization).build();
        MultiLayerNetwork tuned = LoRA.apply(base, config);
        MultiLayerNetwork twin = LoRA.apply(base, config);
        Inputs inputs = new Inputs();
        tuned.setListeners(inputs);

        tuned.fit(ahead());
        ahead().forEachRemaining(twin::fit);

        assertThat(inputs.areRead).hasSize(3).containsOnly(true);
        assertThat(tuned.params()).isEqualTo(twin.params());
    }

    @ParameterizedTest
    @EnumSource(value = Engine.class, names = {"FUSED", "SAMEDIFF"})
    void isReadByGraphsToo(Engine engine) {
        ComputationGraph base = Networks.trainedGraph(DataType.FLOAT, new Adam(0.01));
        LoRAConfig config = LoRAConfig.builder().rank(2).alpha(2).updater(new Adam(0.01)).engine(engine).build();
        ComputationGraph tuned = LoRA.apply(base, config);
        ComputationGraph twin = LoRA.apply(base, config);
        Inputs inputs = new Inputs();
        tuned.setListeners(inputs);

        tuned.fit(ahead());
        ahead().forEachRemaining(twin::fit);

        assertThat(inputs.areRead).hasSize(3).containsOnly(true);
        assertThat(tuned.params()).isEqualTo(twin.params());
    }
}
