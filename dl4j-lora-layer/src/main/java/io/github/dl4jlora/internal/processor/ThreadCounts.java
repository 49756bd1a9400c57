package io.github.dl4jlora.internal.processor;

import org.bytedeco.javacpp.Loader;
import org.nd4j.linalg.factory.Environment;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.nativeblas.NativeOpsHolder;

/**
 * How many threads compute, on ND4J's CPU backend.
 *
 * @param openMp threads of ND4J's loops in this Java thread: OpenMP keeps the number by thread
 * @param master the number to which ND4J bounds most of its loops, in every Java thread
 * @param blas   threads of OpenBLAS, in every Java thread
 */
public record ThreadCounts(int openMp, int master, int blas) {

    /** The present counts; loads ND4J if it is not loaded. */
    public static ThreadCounts now() {
        Environment environment = Nd4j.getBackend().getEnvironment();
        return new ThreadCounts(NativeOpsHolder.getInstance().getDeviceNativeOps().ompGetMaxThreads(),
                environment.maxMasterThreads(), Nd4j.factory().blas().getMaxThreads());
    }

    /** Sets these counts from now on. */
    public void set() {
        NativeOpsHolder.getInstance().getDeviceNativeOps().setOmpNumThreads(openMp);
        Nd4j.getBackend().getEnvironment().setMaxMasterThreads(master);
        Nd4j.factory().blas().setMaxThreads(blas);
    }

    /** The cores that this process may use: a container's limit counts, a second thread of a core does not. */
    public static int cores() {
        int allowed = Runtime.getRuntime().availableProcessors();
        int physical = Loader.totalCores();
        return physical > 0 ? Math.min(allowed, physical) : allowed;
    }
}
