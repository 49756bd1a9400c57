package io.github.dl4jlora.benchmarks;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * Settings of threads and memory for a child process. Those in the environment of this process are hidden from every child, so
 * that all sides start alike.
 */
enum Settings {

    AS_FOUND("as found", "nothing set: what a program does that nobody has told anything"),
    SETTLED("threads settled", "nothing set, and the program calls Threads.settle() first"),
    ONE_THREAD("one thread", "OMP_NUM_THREADS=1, OPENBLAS_NUM_THREADS=1, maxphysicalbytes=0, heap 1 GB, off-heap 8 GB at most; "
            + "PyTorch with set_num_threads(1)"),
    /** No counts of threads: ND4J takes OMP_NUM_THREADS for BLAS as well. */
    BY_HAND("by hand", "OMP_WAIT_POLICY=passive, maxphysicalbytes=0, heap and off-heap as before");

    /** Variables that decide about threads, kernels, or a JVM's flags. */
    private static final Pattern DECISIVE = Pattern.compile(
            "(OMP|GOMP|KMP|OPENBLAS|GOTO|MKL|BLIS|ONEDNN|DNNL|ATEN)_.*|JAVA_TOOL_OPTIONS|JDK_JAVA_OPTIONS|_JAVA_OPTIONS");

    private final String title;
    private final String meaning;

    Settings(String title, String meaning) {
        this.title = title;
        this.meaning = meaning;
    }

    String title() {
        return title;
    }

    String meaning() {
        return meaning;
    }

    /** The settings of the compared PyTorch: its own default if nothing is set. */
    Settings ofPyTorch() {
        return this == ONE_THREAD ? ONE_THREAD : AS_FOUND;
    }

    /** These settings, and those of the PyTorch beside, if they are others. */
    String titleBesidePyTorch() {
        return this == ofPyTorch() ? title : title + ", PyTorch " + ofPyTorch().title;
    }

    List<String> jvmOptions() {
        return switch (this) {
            case AS_FOUND, SETTLED -> List.of();
            case ONE_THREAD, BY_HAND -> List.of("-Xms1g", "-Xmx1g", "-Dorg.bytedeco.javacpp.maxbytes=8g",
                    "-Dorg.bytedeco.javacpp.maxphysicalbytes=0");
        };
    }

    /** Replaces what the environment of this process decides by these settings. */
    void prepare(Map<String, String> environment) {
        environment.keySet().removeIf(name -> DECISIVE.matcher(name).matches());
        environment.putAll(switch (this) {
            case AS_FOUND, SETTLED -> Map.of();
            case ONE_THREAD -> Map.of("OMP_NUM_THREADS", "1", "OPENBLAS_NUM_THREADS", "1");
            case BY_HAND -> Map.of("OMP_WAIT_POLICY", "passive");
        });
    }

    /** The variables of an environment that are hidden from children, sorted. */
    static Map<String, String> kept(Map<String, String> environment) {
        Map<String, String> kept = new TreeMap<>(environment);
        kept.keySet().removeIf(name -> !DECISIVE.matcher(name).matches());
        return kept;
    }
}
