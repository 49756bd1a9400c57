package io.github.dl4jlora.onnx;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OnnxValue;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import ai.onnxruntime.TensorInfo;
import org.deeplearning4j.nn.api.Model;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.FloatBuffer;
import java.nio.LongBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

import static org.assertj.core.api.Assertions.assertThat;

/** Runs what was written in ONNX Runtime, with all optimisations and without any, and compares it with the network. */
final class InRuntime {

    /** Of the largest output. */
    static final double TOLERANCE = 1e-5;

    /** Parameters of a network whose file would take too much of the heap. */
    private static final long LARGE = 1_000_000;

    private InRuntime() {
    }

    /** The network as DL4J computes it, and the file as ONNX Runtime does. */
    static void agrees(Model network, OnnxExport export, INDArray... inputs) throws IOException {
        Path file = network.numParams() < LARGE ? InMemory.file() : Files.createTempFile("network", ".onnx");
        try {
            export.write(file);
            agrees(outputs(network, inputs), file, inputs);
        } finally {
            Files.deleteIfExists(file);
        }
    }

    /** Of copies of the inputs, since some of DL4J's layers work in place. */
    static List<INDArray> outputs(Model network, INDArray... inputs) {
        INDArray[] copies = Arrays.stream(inputs).map(INDArray::dup).toArray(INDArray[]::new);
        return network instanceof MultiLayerNetwork layers ? List.of(layers.output(copies[0]))
                : List.of(((ComputationGraph) network).output(copies));
    }

    static void agrees(List<INDArray> expected, Path file, INDArray... inputs) {
        agrees(0, expected, file, inputs);
    }

    /** @param least what counts as the largest value of an output that is smaller: where sums cancel out, roundings are left */
    static void agrees(double least, List<INDArray> expected, Path file, INDArray... inputs) {
        for (OrtSession.SessionOptions.OptLevel level : List.of(OrtSession.SessionOptions.OptLevel.ALL_OPT,
                OrtSession.SessionOptions.OptLevel.NO_OPT)) {
            List<INDArray> actual = run(file, level, inputs);
            assertThat(actual).hasSameSizeAs(expected);
            for (int i = 0; i < actual.size(); i++) {
                assertThat(actual.get(i).shape()).as("shape of output %d, %s", i, level).isEqualTo(expected.get(i).shape());
                double largest = Math.max(least, expected.get(i).amaxNumber().doubleValue());
                assertThat(difference(expected.get(i), actual.get(i), largest)).as("output %d, %s", i, level)
                        .isLessThanOrEqualTo(TOLERANCE);
            }
        }
    }

    /** The largest difference, as a part of the largest value. */
    static double difference(INDArray expected, INDArray actual) {
        return difference(expected, actual, expected.amaxNumber().doubleValue());
    }

    private static double difference(INDArray expected, INDArray actual, double largest) {
        double difference = expected.castTo(DataType.DOUBLE).sub(actual.castTo(DataType.DOUBLE)).amaxNumber().doubleValue();
        return largest == 0 ? difference : difference / largest;
    }

    static List<INDArray> run(Path file, OrtSession.SessionOptions.OptLevel level, INDArray... inputs) {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            options.setOptimizationLevel(level);
            options.setIntraOpNumThreads(1);
            try (OrtSession session = InMemory.has(file) ? environment.createSession(Files.readAllBytes(file), options)
                    : environment.createSession(file.toString(), options);
                    OrtSession.RunOptions plain = new OrtSession.RunOptions()) {
                return run(session, plain, inputs);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (OrtException e) {
            throw new AssertionError("ONNX Runtime refuses " + file + ": " + e.getMessage(), e);
        }
    }

    static List<INDArray> run(OrtSession session, OrtSession.RunOptions options, INDArray... inputs) throws OrtException {
        Map<String, OnnxTensor> named = new LinkedHashMap<>();
        int i = 0;
        for (var input : session.getInputInfo().entrySet()) {
            if (i < inputs.length) {
                named.put(input.getKey(), tensor(OrtEnvironment.getEnvironment(), (TensorInfo) input.getValue().getInfo(),
                        inputs[i++]));
            }
        }
        List<INDArray> outputs = new ArrayList<>();
        try (OrtSession.Result result = session.run(named, options)) {
            for (Map.Entry<String, OnnxValue> output : result) {
                outputs.add(array(output.getValue()));
            }
        } finally {
            named.values().forEach(OnnxTensor::close);
        }
        return outputs;
    }

    /** The floats of a tensor. */
    static INDArray array(OnnxValue value) {
        OnnxTensor tensor = (OnnxTensor) value;
        FloatBuffer values = tensor.getFloatBuffer();
        float[] floats = new float[values.remaining()];
        values.get(floats);
        return Nd4j.createFromArray(floats).reshape('c', tensor.getInfo().getShape());
    }

    private static OnnxTensor tensor(OrtEnvironment environment, TensorInfo info, INDArray values) throws OrtException {
        INDArray flat = values.dup('c').reshape(values.length());
        return switch (info.type) {
            case INT64 -> OnnxTensor.createTensor(environment, LongBuffer.wrap(flat.toLongVector()), values.shape());
            default -> OnnxTensor.createTensor(environment, FloatBuffer.wrap(flat.toFloatVector()), values.shape());
        };
    }
}
