package io.github.dl4jlora.examples.tasks;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.conf.Scaling;
import io.github.dl4jlora.machine.Threads;
import org.deeplearning4j.datasets.iterator.ExistingDataSetIterator;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.dataset.DataSet;
import org.nd4j.linalg.dataset.api.iterator.DataSetIterator;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.learning.config.Adam;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;
import org.nd4j.linalg.util.FeatureUtil;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/**
 * Writes an adapter as the folder that Hugging Face PEFT reads, with the names that layers have in the PyTorch model, and reads
 * such a folder. In Python, for a model with {@code encoder.first} and {@code encoder.second}, both {@code nn.Linear}:
 *
 * <pre>
 * model = PeftModel.from_pretrained(model, "target/tasks/ExchangeFilesWithPeft/adapter")     # what Java has written
 * model.save_pretrained("from-python")                                                       # for Java to read
 * </pre>
 */
public class ExchangeFilesWithPeft {

    private static final Path FOLDER = Path.of("target", "tasks", "ExchangeFilesWithPeft");
    private static final int SEED = 7;
    /** Layers here, and modules in PyTorch. Whatever has no name there is left out, with a warning. */
    private static final Map<String, String> TO_PYTORCH = Map.of("fc1", "encoder.first", "fc2", "encoder.second");
    private static final Map<String, String> FROM_PYTORCH = Map.of("encoder.first", "fc1", "encoder.second", "fc2");

    public static void main(String[] args) throws Exception {
        Threads.settle();                                          // first of all: ND4J's threads no longer spin
        List<DataSet> turned = digits(true);
        DataSetIterator train = new ExistingDataSetIterator(turned.subList(0, 43));
        DataSetIterator test = new ExistingDataSetIterator(turned.subList(43, 57));
        MultiLayerNetwork base = newNetwork();
        base.fit(new ExistingDataSetIterator(digits(false).subList(0, 43)), 10);
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder()
                .rank(8).alpha(16).scaling(Scaling.ALPHA_OVER_RANK)           // what PEFT makes of r and lora_alpha
                .override("fc2", layer -> layer.rank(4).alpha(8))             // its rank_pattern and alpha_pattern
                .updater(new Adam(3e-3)).seed(SEED).build());
        tuned.fit(train, 10);

        Path folder = FOLDER.resolve("adapter");
        LoRAAdapter.of(tuned).saver().keyMapper(TO_PYTORCH::get).save(folder);
        System.out.printf("Written to %s, adapter_config.json among it:%n", folder);
        try (Stream<String> lines = Files.lines(folder.resolve("adapter_config.json"))) {
            lines.filter(line -> line.matches(".*\"(r|lora_alpha|peft_type|.*_pattern|encoder.*)\".*"))
                    .forEach(System.out::println);
        }

        // PEFT does not record for which base an adapter was trained: give it the right one.
        LoRAAdapter read = LoRAAdapter.loader().keyMapper(FROM_PYTORCH::get).load(folder);
        MultiLayerNetwork again = LoRA.apply(base, read);
        INDArray some = turned.get(43).getFeatures();
        if (!again.output(some).equals(tuned.output(some))) {
            throw new IllegalStateException("The network computes something else with the adapter that was read");
        }
        System.out.printf("Read back: layers %s, ranks %d and %d.%n", read.layers(), read.rank("fc1"), read.rank("fc2"));
        System.out.printf("Turned digits: %.1f %% right before, %.1f %% after.%n", 100 * base.evaluate(test).accuracy(),
                100 * again.evaluate(test).accuracy());

        // Both files in one zip, for a database or an upload.
        ByteArrayOutputStream zip = new ByteArrayOutputStream();
        read.saver().save(zip);
        System.out.printf("As a zip of %,d bytes: layers %s.%n", zip.size(),
                LoRAAdapter.loader().load(new ByteArrayInputStream(zip.toByteArray())).layers());
    }

    private static MultiLayerNetwork newNetwork() {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(SEED)
                .updater(new Adam(2e-3)).activation(Activation.RELU).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(64).nOut(128).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(128).build())
                .layer(new OutputLayer.Builder(LossFunction.MCXENT).name("out").nOut(10).activation(Activation.SOFTMAX).build())
                .build());
        network.init();
        return network;
    }

    /** Real handwriting, a file to copy along: 64 numbers a line, from 0 (paper) to 16 (ink), and the digit that they show. */
    private static List<DataSet> digits(boolean turned) throws Exception {
        String file = "/io/github/dl4jlora/examples/digits.csv.gz";
        try (InputStream in = new GZIPInputStream(Objects.requireNonNull(ExchangeFilesWithPeft.class.getResourceAsStream(
                file), "Copy " + file + " from dl4j-lora's examples/src/main/resources to yours"))) {
            INDArray lines = Nd4j.readNumpy(DataType.FLOAT, in, ",", StandardCharsets.US_ASCII);
            INDArray pixels = Nd4j.create(DataType.FLOAT, lines.rows(), 64);
            for (int i = 0; i < 64; i++) {                         // turned, the left column becomes the top row
                pixels.putColumn(i, lines.getColumn(turned ? (7 - i % 8) * 8 + i / 8 : i).div(16));
            }
            DataSet digits = new DataSet(pixels, FeatureUtil.toOutcomeMatrix(lines.getColumn(64).toIntVector(), 10));
            digits.shuffle(SEED);
            return digits.batchBy(32);
        }
    }
}
