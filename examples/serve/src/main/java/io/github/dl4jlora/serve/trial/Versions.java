package io.github.dl4jlora.serve.trial;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.adapter.Combination;
import io.github.dl4jlora.adapter.LoRAAdapter;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.util.ModelSerializer;
import org.nd4j.linalg.activations.Activation;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** A small base, adapters that differ a lot, and what separate networks for them compute for a few inputs. */
final class Versions {

    static final int COUNT = 24;
    static final int INPUTS = 12;
    static final int IN = 32;

    private static final int WIDTH = 64;
    private static final int OUT = 8;
    private static final int MOST_ROWS = 4;
    private static final double TOLERANCE = 1e-5;

    private final MultiLayerNetwork base = base(1);
    private final List<LoRAAdapter> adapters = new ArrayList<>();
    private final List<Map<String, byte[]>> files = new ArrayList<>();
    private final List<float[][]> inputs = new ArrayList<>();
    private final Map<Map<Integer, Double>, List<float[][]>> expected = new ConcurrentHashMap<>();

    /** @param folder for files */
    Versions(Path folder) throws IOException {
        for (int version = 0; version < COUNT; version++) {
            LoRAAdapter adapter = adapter(base, version);
            Path place = folder.resolve("version-" + version);
            adapter.save(place);
            adapters.add(adapter);
            files.add(Uploads.files(place));
        }
        for (int input = 0; input < INPUTS; input++) {
            inputs.add(random(100 + input, 1 + input % MOST_ROWS, IN).toFloatMatrix());
        }
    }

    private static MultiLayerNetwork base(long seed) {
        MultiLayerNetwork network = new MultiLayerNetwork(new NeuralNetConfiguration.Builder().seed(seed)
                .activation(Activation.TANH).list()
                .layer(new DenseLayer.Builder().name("fc1").nIn(IN).nOut(WIDTH).build())
                .layer(new DenseLayer.Builder().name("fc2").nOut(WIDTH).build())
                .layer(new OutputLayer.Builder(LossFunction.MSE).name("out").nOut(OUT).activation(Activation.TANH).build())
                .build());
        network.init();
        return network;
    }

    private static LoRAAdapter adapter(MultiLayerNetwork base, int version) {
        MultiLayerNetwork adapted = LoRA.apply(base, LoRAConfig.builder().rank(4).alpha(4).build());
        adapted.params().assign(random(version, adapted.params().shape()).muli(0.3));
        return LoRAAdapter.of(adapted);
    }

    private static INDArray random(long seed, long... shape) {
        return Nd4j.randn(shape, Nd4j.getRandomFactory().getNewRandomInstance(seed));
    }

    void saveBase(Path file) throws IOException {
        ModelSerializer.writeModel(base, file.toFile(), false);
    }

    void save(int version, Path adapter) throws IOException {
        Files.createDirectory(adapter);
        for (Map.Entry<String, byte[]> file : files.get(version).entrySet()) {
            Files.write(adapter.resolve(file.getKey()), file.getValue());
        }
    }

    float[][] input(int index) {
        return inputs.get(index);
    }

    Map<String, byte[]> files(int version) {
        return files.get(version);
    }

    /** The version in a folder, which is also loaded as a check. */
    int identify(Path adapter) throws IOException {
        LoRAAdapter.load(adapter);
        Map<String, byte[]> there = Uploads.files(adapter);
        for (int version = 0; version < COUNT; version++) {
            if (files.get(version).entrySet().stream()
                    .allMatch(file -> Arrays.equals(file.getValue(), there.get(file.getKey())))) {
                return version;
            }
        }
        throw new IOException(adapter.getFileName() + " is not a version that was sent");
    }

    /**
     * An upload that must be refused.
     *
     * @param kind what is wrong with it
     */
    record Spoilt(String kind, String type, byte[] body, int status) {
    }

    /** @param largest bytes of the largest upload that is accepted */
    List<Spoilt> spoilt(Path folder, int largest) throws IOException {
        byte[] config = files.get(0).get(Uploads.CONFIG);
        byte[] tensors = files.get(0).get(Uploads.TENSORS);
        byte[] whole = Uploads.zip(files.get(0));
        Path foreign = folder.resolve("foreign");
        adapter(base(99), 1).save(foreign);
        return List.of(zip("cut off", Arrays.copyOf(whole, whole.length / 2)),
                zip("tensors cut off", Uploads.CONFIG, config, Arrays.copyOf(tensors, tensors.length - 9)),
                zip("of another base", Uploads.zip(Uploads.files(foreign))),
                zip("NaN", Uploads.CONFIG, config, Uploads.withNaN(tensors)),
                zip("out of the folder", "../../" + Uploads.CONFIG, config, tensors),
                zip("huge header", Uploads.CONFIG, config, Uploads.header(Long.MAX_VALUE)),
                zip("deep", Uploads.CONFIG, "[[[[".repeat(9_999).getBytes(StandardCharsets.US_ASCII), tensors),
                zip("no zip", new byte[5_000]),
                new Spoilt("bomb", Uploads.ZIP, Uploads.bomb(), 413),
                new Spoilt("too large", Uploads.ZIP, new byte[largest + 1], 413),
                // So large that it is on disk before it is checked.
                new Spoilt("zeros", Uploads.FORM, Uploads.form(Map.of(Uploads.CONFIG, config, Uploads.TENSORS,
                        new byte[largest / 2])), 400));
    }

    private static Spoilt zip(String kind, byte[] body) {
        return new Spoilt(kind, Uploads.ZIP, body, 400);
    }

    private static Spoilt zip(String kind, String configName, byte[] config, byte[] tensors) throws IOException {
        return zip(kind, Uploads.zip(Map.of(configName, config, Uploads.TENSORS, tensors)));
    }

    /**
     * Whether an answer is that of a network made for these adapters.
     *
     * @param mix weights by version; empty for the base
     */
    boolean isRight(float[][] answer, int input, Map<Integer, Double> mix) {
        float[][] rows = outputs(mix).get(input);
        boolean right = answer.length == rows.length;
        for (int i = 0; right && i < rows.length; i++) {
            right = answer[i].length == OUT;
            for (int j = 0; right && j < OUT; j++) {
                // Not the other way round: NaN is wrong.
                right = Math.abs(answer[i][j] - rows[i][j]) <= TOLERANCE;
            }
        }
        return right;
    }

    /** A copy of the expected output. */
    float[][] output(Map<Integer, Double> mix, int input) {
        return Arrays.stream(outputs(mix).get(input)).map(float[]::clone).toArray(float[][]::new);
    }

    private List<float[][]> outputs(Map<Integer, Double> mix) {
        return expected.computeIfAbsent(mix, this::compute);
    }

    private List<float[][]> compute(Map<Integer, Double> mix) {
        MultiLayerNetwork network = mix.isEmpty() ? base : LoRA.apply(base, adapter(mix));
        synchronized (this) {
            // The base is for one thread at a time.
            return inputs.stream().map(rows -> network.output(Nd4j.createFromArray(rows)).toFloatMatrix())
                    .collect(Collectors.toList());
        }
    }

    private LoRAAdapter adapter(Map<Integer, Double> mix) {
        if (mix.size() == 1 && mix.containsValue(1.0)) {
            return adapters.get(mix.keySet().iterator().next());
        }
        Combination combination = LoRAAdapter.combine(Combination.Method.CAT);
        mix.forEach((version, weight) -> combination.add(adapters.get(version), weight));
        return combination.build();
    }
}
