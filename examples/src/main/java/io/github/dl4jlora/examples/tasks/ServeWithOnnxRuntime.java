package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import io.github.dl4jlora.onnx.OnnxAdapter;
import io.github.dl4jlora.onnx.OnnxExport;
import io.github.dl4jlora.onnx.OnnxForm;
import io.github.dl4jlora.onnx.WeightType;
import io.github.dl4jlora.onnx.check.OnnxCheck;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/** Writes an adapted network for ONNX Runtime: as one file, in eight bits, and as a base with an adapter beside it. */
public class ServeWithOnnxRuntime {

    private static final Path FOLDER = Path.of("target", "tasks", "ServeWithOnnxRuntime");
    private static final int SEED = 7;

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        Files.createDirectories(FOLDER);
        MultiLayerNetwork base = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        base.init();
        base.fit(new ExistingDataSetIterator(digits(false).subList(0, 43)), 10);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)
                .updater(new Adam(3e-3)).seed(SEED).build());
        tuned.fit(new ExistingDataSetIterator(digits(true).subList(0, 43)), 10);
        System.out.printf("Turned digits: %.1f %% right before, %.1f %% after.%n", percent(base), percent(tuned));

        // One file for everything that reads ONNX: the adapter is merged on the way, and the network stays as it is.
        Path merged = FOLDER.resolve("merged.onnx");
        tell(merged, OnnxExport.write(tuned, merged), tuned, null);

        // The same with weights in eight bits, a quarter of the size.
        Path small = FOLDER.resolve("small.onnx");
        tell(small, OnnxExport.of(tuned).inputs("pixels").outputs("digit").weights(WeightType.INT8).write(small), tuned, null);

        // Base and adapter apart: one session computes as the base, or as any adapter that a call makes active.
        LoRAAdapter adapter = LoRAAdapter.of(tuned);
        Path apart = FOLDER.resolve("base.onnx");
        Path turned = FOLDER.resolve("turned.onnx_adapter");
        tell(apart, OnnxExport.write(base, adapter, apart), base, null);
        tell(apart, null, tuned, write(adapter, turned));

        // In the service, which needs com.microsoft.onnxruntime:onnxruntime alone:
        //   OrtSession session = OrtEnvironment.getEnvironment().createSession("base.onnx");
        //   OrtSession.RunOptions options = new OrtSession.RunOptions();
        //   options.addActiveLoraAdapter(OrtLoraAdapter.create("turned.onnx_adapter"));
        //   session.run(Map.of("input", OnnxTensor.createTensor(environment, pixels)), options);
    }

    private static Path write(LoRAAdapter adapter, Path file) throws Exception {
        OnnxAdapter.write(adapter, file);
        System.out.printf("%s: %,d bytes%n", file.getFileName(), Files.size(file));
        return file;
    }

    private static double percent(MultiLayerNetwork network) throws Exception {
        return 100 * network.evaluate(new ExistingDataSetIterator(digits(true).subList(43, 57))).accuracy();
    }

    /** With ONNX Runtime on the class path, compares what it computes with what DL4J does. */
    private static void tell(Path file, OnnxForm form, Model network, Path active) throws Exception {
        if (form != null) {
            System.out.printf("%s: %,d bytes, %s%n", file.getFileName(), Files.size(file), form);
        }
        if (OnnxCheck.isPossible()) {
            System.out.printf("  differs from DL4J by %.1e of the largest output%n",
                    OnnxCheck.largestDifference(network, file, active));
        }
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(ServeWithOnnxRuntime.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {
                pixels.putColumn(i, lines.getColumn(turned ? (7 - i % 8) * 8 + i / 8 : i).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32);
        }
    }
}
