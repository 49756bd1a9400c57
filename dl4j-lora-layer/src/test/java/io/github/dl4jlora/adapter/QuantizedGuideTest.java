package io.github.dl4jlora.adapter;

import io.github.dl4jlora.BaseSource;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.LoRAInit;
import io.github.dl4jlora.conf.Quantization;
import io.github.dl4jlora.conf.Scaling;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.util.ModelSerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.learning.config.Sgd;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs the guide's code about bases in fewer bits and starts from data; {@link GuideTest} looks here for its lines. */
class QuantizedGuideTest {

    private final ComputationGraph base = Networks.trainedGraph();

    @Test
    void aStartFromWhatQuantisingLoses() {
        INDArray input = Networks.random(DataType.FLOAT, 5, 3, Networks.IN);
        LoRAConfig loftQ = LoRAConfig.builder().rank(4).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .quantize(Quantization.NF4).loraInit(LoRAInit.LOFTQ).pissaIterations(4).build();

        INDArray plain = LoRA.apply(base, loftQ.toBuilder().loraInit(LoRAInit.KAIMING_UNIFORM).pissaIterations(0).build())
                .outputSingle(input);
        INDArray original = base.outputSingle(input);
        assertThat(original.distance2(LoRA.apply(base, loftQ).outputSingle(input))).isLessThan(original.distance2(plain));
    }

    @Test
    void startsFromData() {
        DataSetIterator data = new ExistingDataSetIterator(List.of(Networks.data(DataType.FLOAT, 30, 1)));
        ComputationGraph base = new ComputationGraph(new NeuralNetConfiguration.Builder().seed(1).updater(new Sgd(0.1))
                .graphBuilder().addInputs("in").addLayer("wide", new DenseLayer.Builder().nOut(16).build(), "in")
                .addLayer("fc1", new DenseLayer.Builder().nOut(16).build(), "wide")
                .addLayer("fc2", new DenseLayer.Builder().nOut(16).build(), "fc1")
                .addLayer("out", new OutputLayer.Builder().nOut(Networks.OUT).activation(Activation.SOFTMAX).build(), "fc2")
                .setOutputs("out").setInputTypes(InputType.feedForward(Networks.IN)).build());
        base.init();
        LoRAConfig eva = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .loraInit(LoRAInit.EVA).rankBudget(20).build();
        LoRAConfig loraGa = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .loraInit(LoRAInit.LORA_GA).startBatches(4).build();
        loraGa = loraGa.toBuilder().exclude("wide").build();

        ComputationGraph fromInputs = LoRA.apply(base, eva, data, System.out::println);
        ComputationGraph fromGradient = LoRA.apply(base, loraGa, data);

        LoRAAdapter adapter = LoRAAdapter.of(fromInputs);
        assertThat(adapter.layers().stream().mapToInt(layer -> adapter.settings(layer).rank()).sum()).isEqualTo(20);
        assertThat(LoRAAdapter.of(fromGradient).layers()).containsExactly("fc1", "fc2");
    }

    @Test
    void quantise(@TempDir Path folder) throws IOException {
        LoRAConfig config = LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .quantize(Quantization.INT8).build();
        ComputationGraph tuned = LoRA.apply(base, config);
        assertThat(LoRA.summary(tuned).toString()).contains("INT8");
        System.out.println(LoRA.merging(tuned).against(base).report());
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        adapter.applyTo(tuned, LoRAAdapter.ApplyOption.STRICT);
        read(folder.resolve("base.zip"), config);
        give(base.getConfiguration(), config);
        map(folder.resolve("base.mapped"));
    }

    private void read(Path path, LoRAConfig config) throws IOException {
        ModelSerializer.writeModel(base, path.toFile(), false);
        Model tuned = LoRA.loadQuantized(path, config);
        System.out.println(LoRA.summary(tuned));
    }

    private void give(ComputationGraphConfiguration configuration, LoRAConfig config) throws IOException {
        BaseSource<ComputationGraph> source = BaseSource.of(configuration, (layer, parameters) ->
                parameters.forEach((key, values) -> values.assign(myValues(layer, key))));
        ComputationGraph tuned = LoRA.loadQuantized(source, config);
        assertThat(tuned.numParams()).isPositive();
    }

    private INDArray myValues(String layer, String key) {
        return base.getLayer(layer).getParam(key);
    }

    private void map(Path shared) throws IOException {
        ComputationGraph network = this.base;
        LoRA.writeBase(network, shared, Quantization.INT8);       // a new file beside the base's
        ComputationGraph base = LoRA.openComputationGraphBase(shared);
        ComputationGraph tuned = LoRA.apply(base, LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK).build());
        assertThat(tuned.numParams()).isPositive();
    }
}
