package io.github.dl4jlora.benchmarks;

import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The vector instructions that all sides are allowed, PyTorch's too. */
enum Kernels {

    /** Whatever the processor has. */
    OWN(Map.of(), List.of()),
    /** Those of processors without AVX-512. */
    AVX2(Map.of("OPENBLAS_CORETYPE", "Haswell", "ONEDNN_MAX_CPU_ISA", "AVX2", "ATEN_CPU_CAPABILITY", "avx2"),
            List.of("-XX:UseAVX=2"));

    private final Map<String, String> environment;
    private final List<String> jvmOptions;

    Kernels(Map<String, String> environment, List<String> jvmOptions) {
        this.environment = environment;
        this.jvmOptions = jvmOptions;
    }

    /** What every child finds in its environment, beside its {@link Settings}. */
    Map<String, String> environment() {
        return environment;
    }

    /** For the report. */
    String meaning() {
        return this == OWN ? "those that each side chooses" : "told: " + Stream.concat(
                new TreeMap<>(environment).entrySet().stream().map(Object::toString), jvmOptions.stream())
                .collect(Collectors.joining(", "));
    }

    List<String> jvmOptions() {
        return jvmOptions;
    }
}
