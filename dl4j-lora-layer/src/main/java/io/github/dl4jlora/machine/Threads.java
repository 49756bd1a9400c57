package io.github.dl4jlora.machine;

import io.github.dl4jlora.internal.common.GuardedBy;
import io.github.dl4jlora.internal.processor.MemoryBound;
import io.github.dl4jlora.internal.processor.NativeLibraries;
import io.github.dl4jlora.internal.processor.ThreadConflict;
import io.github.dl4jlora.internal.processor.RestingTeam;
import io.github.dl4jlora.internal.processor.ThreadCounts;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Settles the threads of ND4J's CPU backend: BLAS computes on all cores, ND4J's own loops on one, and no thread spins while it
 * waits. With nothing set, the threads of both spin against each other, and a training step takes several times as long. oneDNN,
 * where its jars are on the class path, gets as many threads as BLAS, but computes small products on one.
 *
 * <p>Call it in the first line of {@code main}, before anything of ND4J, so that everything can be set.
 *
 * <pre>{@code
 * Threads threads = Threads.settle();
 * System.out.println(threads);           // what was set, and what could not be set any more
 * }</pre>
 */
public final class Threads {

    private static final Logger LOG = LoggerFactory.getLogger(Threads.class);
    private static final String OPEN_MP = "OMP_NUM_THREADS";
    private static final String BLAS = "OPENBLAS_NUM_THREADS";
    private static final String WAITING = "OMP_WAIT_POLICY";
    /** For how long OpenBLAS's threads spin after a product: 2 to this power of the processor's cycles. */
    private static final String SPINNING = "OPENBLAS_THREAD_TIMEOUT";
    /** The least that OpenBLAS takes. */
    private static final String HARDLY = "4";
    private static final String MALLOC = "MALLOC_MMAP_THRESHOLD_";
    private static final int LARGE_BLOCK = 1 << 20;
    private static final Pattern COUNT = Pattern.compile("[1-9]\\d{0,3}");
    /** JavaCPP reads both spellings. */
    private static final List<String> PHYSICAL =
            List.of("org.bytedeco.javacpp.maxphysicalbytes", "org.bytedeco.javacpp.maxPhysicalBytes");

    /** Null while nothing is settled. */
    @GuardedBy("Threads.class")
    private static @Nullable Threads present;

    @GuardedBy("Threads.class")
    private final List<String> words = new ArrayList<>();
    /** Null if nothing was done. */
    @GuardedBy("Threads.class")
    private @Nullable ThreadCounts before;
    /** Null if none has to rest. */
    @GuardedBy("Threads.class")
    private @Nullable RestingTeam team;

    private Threads() {
    }

    /**
     * Settles the threads of this process by fixed rules, without measuring. Each environment variable or system property that
     * is set already is left as it is.
     *
     * <p>Before ND4J's native code is loaded it sets, in the environment that this code will read, {@code OMP_WAIT_POLICY} to
     * passive, {@code OMP_NUM_THREADS} to 1 and {@code OPENBLAS_NUM_THREADS} to the number of cores, and the system property
     * {@code org.bytedeco.javacpp.maxphysicalbytes} to 0, which spares JavaCPP a look into {@code /proc} at each allocation;
     * instead a thread looks now and then, and runs the collector when the process is larger than JavaCPP would let it become.
     * With oneDNN on the class path, and not switched off, it sets {@code OPENBLAS_THREAD_TIMEOUT} to 4, too: otherwise
     * OpenBLAS's threads spin for some 20 milliseconds after each product, on the cores that oneDNN's threads need. Then it loads
     * ND4J. Child processes get none of these variables.
     *
     * <p>If that code is loaded already, it sets the numbers of threads in the process (for ND4J's loops, the number of the
     * calling thread), and keeps OpenMP's threads from spinning by a team of them that rests. {@code maxphysicalbytes} then
     * stays as it is, and a warning says so.
     *
     * <p>With GNU's C allocator, arrays of 1 MiB and more go back to the system as soon as they are freed;
     * {@code MALLOC_MMAP_THRESHOLD_} in the environment is left as it is.
     *
     * <p>A second call changes nothing. On a CUDA backend, or without a backend on the class path, nothing is done.
     *
     * @return what was done, in words
     */
    public static synchronized Threads settle() {
        if (present == null) {
            Threads settled = new Threads();
            settled.run();
            present = settled;
        }
        return present;
    }

    /** Whether nobody has set JavaCPP's limit, so that its default is in force once JavaCPP is loaded. */
    static boolean physicalBytesAreFree() {
        return PHYSICAL.stream().allMatch(name -> System.getProperty(name) == null);
    }

    @GuardedBy("Threads.class")
    private void run() {
        if (NativeLibraries.has("org.nd4j.linalg.jcublas.JCublasBackend")) {
            words.add("Threads left alone: ND4J's CUDA backend is on the class path.");
            return;
        }
        if (!NativeLibraries.has("org.nd4j.linalg.cpu.nativecpu.CpuBackend")) {
            words.add("Threads left alone: ND4J's CPU backend (nd4j-native) is not on the class path.");
            return;
        }
        boolean free = physicalBytesAreFree();
        // Whether this was in time shows only afterwards: asking first would load JavaCPP's Pointer, which reads the property.
        if (free) {
            System.setProperty(PHYSICAL.get(0), "0");
        }
        Map<String, String> variables = unset();
        Optional<String> late = NativeLibraries.areLoaded() ? Optional.of("ND4J's native code was loaded already")
                : NativeLibraries.set(variables);
        ThreadCounts counts = ThreadCounts.now();
        before = counts;
        if (late.isPresent() && variables.containsKey(WAITING) && counts.master() > 1) {
            team = RestingTeam.of(counts.master());
        }
        if (variables.containsKey(OPEN_MP)) {
            new ThreadCounts(1, 1, blasThreads()).set();
        }
        ThreadConflict.settled(true);
        tellOfThreads(variables, late, team == null ? "" : ", and a resting team of " + counts.master() + " threads");
        tellOfMemory(free);
        if (System.getenv(MALLOC) == null && NativeLibraries.giveBackBlocksFrom(LARGE_BLOCK)) {
            words.add("The C allocator returns blocks of 1 MiB and more to the system when they are freed.");
        }
    }

    /** The variables to set: none that the environment has already. */
    private static Map<String, String> unset() {
        Map<String, String> variables = new LinkedHashMap<>();
        putUnlessSet(variables, WAITING, "passive");
        putUnlessSet(variables, OPEN_MP, "1");
        if (variables.containsKey(OPEN_MP)) {
            putUnlessSet(variables, BLAS, String.valueOf(ThreadCounts.cores()));
            if (NativeLibraries.has("org.bytedeco.dnnl.global.dnnl") && !"false".equals(System.getProperty("dl4jlora.onednn"))) {
                putUnlessSet(variables, SPINNING, HARDLY);
            }
        }
        return variables;
    }

    /** ND4J overrides the variable, and gives BLAS all cores of a chip. */
    private static int blasThreads() {
        String said = System.getenv(BLAS);
        return said != null && COUNT.matcher(said).matches() ? Integer.parseInt(said) : ThreadCounts.cores();
    }

    @GuardedBy("Threads.class")
    private void tellOfThreads(Map<String, String> variables, Optional<String> late, String resting) {
        ThreadCounts after = ThreadCounts.now();
        words.add("Threads settled: BLAS on " + after.blas() + ", ND4J's own loops on " + after.openMp() + ", "
                + (variables.containsKey(WAITING) ? "no thread spins." : "waiting as OMP_WAIT_POLICY says."));
        words.add(late.map(why -> "Set in the process, because " + why + ": thread counts" + resting + ".")
                .orElseGet(() -> "Set in the environment of ND4J's native code: " + listed(variables) + "."));
        List<String> said = Stream.of(WAITING, OPEN_MP, BLAS, SPINNING).filter(name -> System.getenv(name) != null)
                .map(name -> name + "=" + System.getenv(name)).toList();
        if (!said.isEmpty()) {
            words.add("Left as the environment says: " + String.join(", ", said) + ".");
        }
    }

    private static void putUnlessSet(Map<String, String> variables, String name, String value) {
        if (System.getenv(name) == null) {
            variables.put(name, value);
        }
    }

    private static String listed(Map<String, String> variables) {
        return variables.isEmpty() ? "nothing" : variables.entrySet().stream().map(Map.Entry::toString)
                .collect(Collectors.joining(", "));
    }

    @GuardedBy("Threads.class")
    private void tellOfMemory(boolean free) {
        if (!free) {
            words.add("Left as the system properties say: maxphysicalbytes is " + Pointer.maxPhysicalBytes() + ".");
        } else if (Pointer.maxPhysicalBytes() == 0) {
            long bound = MemoryBound.ofJavaCpp();
            if (bound > 0) {
                MemoryBound.watch(bound);
            }
            words.add("maxphysicalbytes=0: JavaCPP does not ask the system for the process's size at each allocation. "
                    + (bound == 0 ? "There is no limit, as maxbytes=0 says." : "A thread does, and runs the garbage collector "
                    + "above "
                    + Doctor.mebibytes(bound) + "."));
        } else {
            System.clearProperty(PHYSICAL.get(0));
            String late = "Too late for maxphysicalbytes=0, without which narrow layers take longer: call Threads.settle() "
                    + "before any use of ND4J.";
            words.add(late);
            LOG.warn(late);
        }
    }

    /**
     * Gives BLAS, ND4J's loops and this thread their former numbers of threads, and lets OpenMP spin again. Settings for the
     * loading of native code, the environment and {@code maxphysicalbytes}, stay to the end of the process. Does nothing if
     * called again, or if nothing was done. {@link #settle()} may follow.
     */
    public void undo() {
        synchronized (Threads.class) {
            if (present != this || before == null) {
                return;
            }
            before.set();
            if (team != null) {
                team.dismiss();
                ThreadConflict.settled(false);
            }
            present = null;
            words.add("Undone, except for what native code read when it was loaded.");
        }
    }

    /** What was done, in a few lines; what could not be done, and what it costs. */
    @Override
    public String toString() {
        synchronized (Threads.class) {
            return String.join("\n", words);
        }
    }
}
