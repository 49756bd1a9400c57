package io.github.dl4jlora.benchmarks;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.conf.LayerType;
import io.github.dl4jlora.conf.LoRAConfig;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.deeplearning4j.nn.weights.WeightInitXavier;
import org.deeplearning4j.zoo.model.LeNet;
import org.deeplearning4j.zoo.model.ResNet50;
import org.deeplearning4j.zoo.model.VGG16;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;

/**
 * A child process: prints the median milliseconds of a forward pass of an {@link OnnxTask} as DL4J's own network, frozen, frozen
 * and packed, adapted, and in ONNX Runtime, which take turns, and how far the frozen network's output is from ONNX Runtime's.
 * Everything is computed by one thread, and its CPU time is what counts: on a machine with other work it is steadier than the
 * clock.
 */
final class OnnxChild {

    private static final int RANK = 8;
    private static final int FEWEST = 7;
    private static final int MOST = 2_000;
    private static final long NANOS = 20_000_000_000L;
    private static final double TOLERANCE = 1e-5;
    private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();

    private OnnxChild() {
    }

    public static void main(String[] args) throws Exception {
        OnnxTask task = OnnxTask.valueOf(args[0]);
        ComputationGraph base = base(task);
        ComputationGraph frozen = LoRA.freeze(base);
        ComputationGraph packed = LoRA.freeze(base);
        LoRA.pack(packed);
        ComputationGraph adapted = LoRA.apply(base, LoRAConfig.builder().rank(RANK).targets(LayerType.CONVOLUTION).build());
        INDArray input = Nd4j.rand(DataType.FLOAT, shape(task)).subi(0.5);
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions();
             OrtSession session = session(base, task, options);
             OnnxTensor tensor = tensor(input)) {
            Map<String, OnnxTensor> inputs = Map.of(session.getInputNames().iterator().next(), tensor);
            double difference = difference(frozen.outputSingle(input), session, inputs);
            double others = Math.max(difference(packed.outputSingle(input), session, inputs),
                    difference(adapted.outputSingle(input), session, inputs));
            // Not-a-number is no agreement either.
            if (!(Math.max(difference, others) <= TOLERANCE)) {
                throw new IllegalStateException("Outputs differ by " + difference + " of the largest number");
            }
            List<Callable<?>> sides = List.of(() -> base.outputSingle(input), () -> frozen.outputSingle(input),
                    () -> packed.outputSingle(input), () -> adapted.outputSingle(input), () -> {
                        session.run(inputs).close();
                        return null;
                    });
            System.out.println(Child.RESULT + medians(sides).stream().map(String::valueOf).collect(Collectors.joining(" "))
                    + " " + difference);
        }
        System.exit(0);
    }

    private static long[] shape(OnnxTask task) {
        return task.network() == OnnxTask.Network.LE_NET ? new long[] {task.batch(), 1, 28, 28}
                : new long[] {task.batch(), 3, 224, 224};
    }

    /** The zoo's network with random weights. Batch normalisation that was never trained would divide by one and add nothing. */
    private static ComputationGraph base(OnnxTask task) {
        ComputationGraph network = switch (task.network()) {
            case LE_NET -> ((MultiLayerNetwork) LeNet.builder().inputShape(new int[] {1, 28, 28}).numClasses(10).build().init())
                    .toComputationGraph();
            case VGG_16 -> VGG16.builder().numClasses(1000).build().init();
            // Its own initialisation overflows in a network whose batch normalisation has not been trained.
            case RES_NET_50 -> ResNet50.builder().weightInit(new WeightInitXavier()).numClasses(1000).build().init();
        };
        Nd4j.getRandom().setSeed(11);
        network.paramTable().forEach((name, values) -> {
            INDArray noise = Nd4j.rand(values.dataType(), values.shape()).subi(0.5).muli(0.4);
            if (name.endsWith("_mean") || name.endsWith("_beta") || name.endsWith("_b")
                    || name.endsWith("_log10stdev")) {
                values.addi(noise);
            } else if (name.endsWith("_var") || name.endsWith("_gamma")) {
                values.muli(noise.addi(1));
            }
        });
        return network;
    }

    private static OrtSession session(ComputationGraph network, OnnxTask task, OrtSession.SessionOptions options)
            throws IOException, OrtException {
        Path file = Files.createTempFile("network", ".onnx");
        try {
            OnnxWriter.write(network, Arrays.stream(shape(task)).skip(1).mapToInt(Math::toIntExact).toArray(), file);
            options.setIntraOpNumThreads(1);
            options.setInterOpNumThreads(1);
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            return OrtEnvironment.getEnvironment().createSession(file.toString(), options);
        } finally {
            Files.delete(file);
        }
    }

    private static OnnxTensor tensor(INDArray array) throws OrtException {
        return OnnxTensor.createTensor(OrtEnvironment.getEnvironment(), FloatBuffer.wrap(array.data().asFloat()), array.shape());
    }

    /** The largest difference, relative to the largest number. */
    private static double difference(INDArray output, OrtSession session, Map<String, OnnxTensor> inputs) throws OrtException {
        try (OrtSession.Result result = session.run(inputs)) {
            INDArray theirs = Nd4j.createFromArray((float[][]) result.get(0).getValue());
            return output.sub(theirs).amaxNumber().doubleValue() / theirs.amaxNumber().doubleValue();
        }
    }

    private static List<Double> medians(List<Callable<?>> sides) throws Exception {
        List<List<Double>> millis = new ArrayList<>();
        sides.forEach(side -> millis.add(new ArrayList<>()));
        long begin = System.nanoTime();
        for (int round = -3; round < FEWEST || round < MOST && System.nanoTime() - begin < NANOS; round++) {
            for (int i = 0; i < sides.size(); i++) {
                long from = THREADS.getCurrentThreadCpuTime();
                sides.get(i).call();
                if (round >= 0) {
                    millis.get(i).add((THREADS.getCurrentThreadCpuTime() - from) / 1e6);
                }
            }
        }
        return millis.stream().map(of -> Clock.median(of.stream().mapToDouble(Double::doubleValue).toArray())).toList();
    }
}
