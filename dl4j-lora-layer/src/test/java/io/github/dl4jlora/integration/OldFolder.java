package io.github.dl4jlora.integration;

import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;

/** What a release wrote of one kind of network: {@link OldFilesWriter} writes such folders, {@link OldFilesTest} reads them. */
record OldFolder(Path path) {

    /** The stock network that was adapted, as ModelSerializer writes it. */
    static final String BASE = "base.zip";
    /** The same as LoRA.writeBase writes it. */
    static final String MAPPED = "base.mapped";
    /** The network as LoRA.save writes it. */
    static final String SAVED = "saved.zip";
    /** The network as ModelSerializer writes it. */
    static final String SERIALIZED = "serialized.zip";
    /** The network as Java's serialization writes it. */
    static final String OBJECT = "object.bin";
    /** The adapter's two files. */
    static final String ADAPTER = "adapter";
    /** The same in one file. */
    static final String ADAPTER_ZIP = "adapter.zip";
    static final String FEATURES = "features.txt";
    static final String OUTPUT = "output.txt";
    /** What the mapped base computes. */
    static final String BASE_OUTPUT = "base-output.txt";
    /** What the network computes after one {@link #step} more. */
    static final String CONTINUED = "continued.txt";

    private static final String RELEASE = "written-by-";

    Path file(String name) {
        return path.resolve(name);
    }

    boolean has(String name) {
        return Files.exists(file(name));
    }

    String kind() {
        return path.getFileName().toString();
    }

    /** {@return whether it is one of the words of which the kind's name consists} */
    boolean is(String word) {
        return List.of(kind().split("-")).contains(word);
    }

    boolean isOf(String release) {
        return path.getParent().endsWith(RELEASE + release);
    }

    @Override
    public String toString() {
        return path.getParent().getFileName() + "/" + kind();
    }

    /** {@return where a network whose name has the word "located" looks for its base; of the tests' own scheme} */
    URI location() {
        return URI.create("memory:/" + this);
    }

    /** {@return where a release's folders are} */
    static Path of(String release) {
        return Path.of("src/test/resources", RELEASE + release);
    }

    static Stream<OldFolder> all() throws IOException {
        List<OldFolder> folders = new ArrayList<>();
        for (Path release : list(Path.of("src/test/resources"))) {
            if (release.getFileName().toString().startsWith(RELEASE)) {
                list(release).forEach(kind -> folders.add(new OldFolder(kind)));
            }
        }
        return folders.stream();
    }

    private static List<Path> list(Path folder) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        }
    }

    static INDArray[] outputs(Model network, INDArray... features) {
        INDArray[] outputs = network instanceof ComputationGraph graph ? graph.output(features)
                : new INDArray[] {((MultiLayerNetwork) network).output(features[0])};
        return Arrays.stream(outputs).map(INDArray::dup).toArray(INDArray[]::new);
    }

    /** Trains a step, to other outputs than those given. */
    static void step(Model network, INDArray[] features, INDArray[] outputs) {
        INDArray[] labels = Arrays.stream(outputs).map(output -> output.add(0.5)).toArray(INDArray[]::new);
        Nd4j.getRandom().setSeed(4);
        if (network instanceof ComputationGraph graph) {
            graph.fit(features, labels);
        } else {
            ((MultiLayerNetwork) network).fit(features[0], labels[0]);
        }
    }

    /** Two lines for each array: type and shape, and the values. */
    void write(String name, INDArray... arrays) throws IOException {
        List<String> lines = new ArrayList<>();
        for (INDArray array : arrays) {
            lines.add(array.dataType() + Arrays.stream(array.shape()).mapToObj(size -> " " + size).collect(Collectors.joining()));
            double[] values = array.castTo(DataType.DOUBLE).dup('c').data().asDouble();
            lines.add(Arrays.stream(values).mapToObj(value -> array.dataType() == DataType.DOUBLE ? Double.toString(value)
                    : Float.toString((float) value)).collect(Collectors.joining(" ")));
        }
        Files.write(file(name), lines);
    }

    /** 0.1.0's files do not say the type: FLOAT. */
    INDArray[] arrays(String name) throws IOException {
        List<String> lines = Files.readAllLines(file(name));
        return IntStream.range(0, lines.size() / 2).mapToObj(i -> array(lines.get(2 * i), lines.get(2 * i + 1)))
                .toArray(INDArray[]::new);
    }

    private static INDArray array(String head, String values) {
        boolean typed = Character.isLetter(head.charAt(0));
        String[] words = head.split(" ");
        long[] shape = Arrays.stream(words).skip(typed ? 1 : 0).mapToLong(Long::parseLong).toArray();
        double[] numbers = Arrays.stream(values.split(" ")).mapToDouble(Double::parseDouble).toArray();
        if (numbers.length != LongStream.of(shape).reduce(1, (a, b) -> a * b)) {
            throw new IllegalArgumentException(head + ", but there are " + numbers.length + " values");
        }
        return Nd4j.create(numbers, shape, 'c').castTo(typed ? DataType.valueOf(words[0]) : DataType.FLOAT);
    }
}
