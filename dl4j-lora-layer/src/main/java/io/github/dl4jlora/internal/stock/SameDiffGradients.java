package io.github.dl4jlora.internal.stock;

import org.jspecify.annotations.Nullable;
import org.nd4j.autodiff.samediff.SDVariable;
import org.nd4j.autodiff.samediff.SameDiff;
import org.nd4j.autodiff.util.SameDiffUtils;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.memory.MemoryWorkspace;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.impl.layers.ExternalErrorsFunction;
import org.nd4j.linalg.factory.Nd4j;

import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Supplier;

/**
 * Corrects two faults of DL4J 1.0.0-M2.1's SameDiff layers and vertices: gradients that come out doubled, and a line on
 * standard output for every differentiated operation.
 */
public final class SameDiffGradients {

    private static final Object STDOUT = new Object();

    private SameDiffGradients() {
    }

    /**
     * What epsilon must be multiplied by on its way into a SameDiff layer so that its gradients are right: 0.5 in
     * 1.0.0-M2.1, where {@code ExternalErrorsFunction.doDiff} sets the gradient and {@code DifferentialFunction.diff} adds it
     * once more; 1 in a version in which this is corrected. Found by a probe.
     */
    public static double correction() {
        return Probe.CORRECTION;
    }

    /** {@code epsilon} corrected, in an array of its own; null stays null. */
    public static @Nullable INDArray corrected(@Nullable INDArray epsilon) {
        return epsilon == null || correction() == 1 ? epsilon : epsilon.mul(correction());
    }

    /**
     * Runs something that may build SameDiff's gradient function, without its progress lines. Only lines that this
     * thread prints are held back, and only SameDiff's.
     */
    public static <T> T quietly(Supplier<T> work) {
        synchronized (STDOUT) {
            PrintStream before = System.out;
            PrintStream filter = new DifferentiationFilter(before, Thread.currentThread());
            System.setOut(filter);
            try {
                return work.get();
            } finally {
                if (System.out == filter) {
                    System.setOut(before);
                }
            }
        }
    }

    private static final class Probe {

        static final double CORRECTION = measure();

        private static double measure() {
            try (MemoryWorkspace none = Nd4j.getMemoryManager().scopeOutOfWorkspaces()) {
                SameDiff graph = SameDiff.create();
                SDVariable x = graph.placeHolder("x", DataType.FLOAT, 1, 1);
                SDVariable w = graph.var("w", Nd4j.ones(DataType.FLOAT, 1, 1));
                ExternalErrorsFunction errors = SameDiffUtils.externalErrors(graph, null, x.mul(w));
                errors.outputVariable();
                INDArray one = Nd4j.ones(DataType.FLOAT, 1, 1);
                Map<String, INDArray> gradients = quietly(() -> {
                    graph.createGradFunction("x");
                    return graph.calculateGradients(Map.of("x", one, errors.getGradPlaceholderName(), one), List.of("w"));
                });
                return 1 / Objects.requireNonNull(gradients.get("w")).getDouble(0);
            }
        }
    }

    private static final class DifferentiationFilter extends PrintStream {

        private final Thread silenced;

        DifferentiationFilter(PrintStream out, Thread silenced) {
            super(out, true);
            this.silenced = silenced;
        }

        @Override
        public void println(String line) {
            if (Thread.currentThread() != silenced || line == null || !line.startsWith("Added differentiated op")) {
                super.println(line);
            }
        }
    }
}
