package io.github.dl4jlora.internal.processor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The processor as Linux describes it, and the kernels that OpenBLAS chose for it.
 *
 * @param name      as its maker calls it, or "unknown"
 * @param vectors   the widest vectors that it computes with
 * @param gigahertz the fastest core's clock, where Linux tells it; virtual machines tell one that does not change
 */
public record Processor(String name, Vectors vectors, OptionalDouble gigahertz) {

    private static final Path CPUINFO = Path.of("/proc/cpuinfo");
    private static final Pattern VERSION = Pattern.compile("OpenBLAS (\\d+)\\.(\\d+)\\.(\\d+)");

    /** Widths of vectors, narrow to wide. */
    public enum Vectors {

        /** Not known. */
        UNKNOWN("unknown vectors", 0, "", Set.of()),
        /** 128 bits. */
        SSE("SSE", 8, "NEHALEM", Set.of("prescott", "core2", "penryn", "dunnington", "nehalem", "atom", "nano", "opteron",
                "opteron_sse3", "barcelona", "bobcat")),
        /** 256 bits, without fused multiplication and addition. */
        AVX("AVX", 16, "SANDYBRIDGE", Set.of("sandybridge", "bulldozer", "piledriver", "steamroller")),
        /** 256 bits. */
        AVX2("AVX2", 32, "HASWELL", Set.of("haswell", "zen", "excavator")),
        /** 512 bits. */
        AVX_512("AVX-512", 64, "SKYLAKEX", Set.of("skylakex", "cooperlake", "sapphirerapids"));

        private final String words;
        private final int flopsPerCycle;
        private final String anyKernel;
        @SuppressWarnings("ImmutableEnumChecker") // Made by Set.of.
        private final Set<String> kernels;

        Vectors(String words, int flopsPerCycle, String anyKernel, Set<String> kernels) {
            this.words = words;
            this.flopsPerCycle = flopsPerCycle;
            this.anyKernel = anyKernel;
            this.kernels = kernels;
        }

        /** Additions and multiplications of floats per cycle of a core that has two units for them; 0 if unknown. */
        public int flopsPerCycle() {
            return flopsPerCycle;
        }

        /** An OpenBLAS kernel with these vectors that every processor with them can run; empty if unknown. */
        public String anyKernel() {
            return anyKernel;
        }

        /** The vector width of a kernel, by OpenBLAS's name of it. */
        public static Vectors ofKernel(String name) {
            for (Vectors vectors : values()) {
                if (vectors.kernels.contains(name.toLowerCase(Locale.ROOT))) {
                    return vectors;
                }
            }
            return UNKNOWN;
        }

        static Vectors ofFlags(List<String> flags) {
            return flags.contains("avx512f") ? AVX_512 : flags.contains("avx2") ? AVX2 : flags.contains("avx") ? AVX
                    : flags.contains("sse2") ? SSE : UNKNOWN;
        }

        @Override
        public String toString() {
            return words;
        }
    }

    /** This machine's processor. */
    public static Processor here() {
        try {
            return of(Files.isReadable(CPUINFO) ? Files.readAllLines(CPUINFO) : List.of());
        } catch (IOException e) {
            return of(List.of());
        }
    }

    static Processor of(List<String> cpuinfo) {
        String name = values(cpuinfo, "model name").stream().findFirst().orElse("unknown");
        List<String> flags = values(cpuinfo, "flags").stream().findFirst().map(line -> List.of(line.split(" ")))
                .orElse(List.of());
        OptionalDouble clock = values(cpuinfo, "cpu MHz").stream().mapToDouble(Double::parseDouble).max();
        return new Processor(name, Vectors.ofFlags(flags),
                clock.isPresent() ? OptionalDouble.of(clock.getAsDouble() / 1000) : OptionalDouble.empty());
    }

    private static List<String> values(List<String> cpuinfo, String key) {
        return cpuinfo.stream().filter(line -> line.startsWith(key)).map(line -> line.substring(line.indexOf(':') + 1).strip())
                .toList();
    }

    /** The most operations on floats that {@code cores} of its cores can do in a second, in units of 10⁹, where known. */
    public OptionalDouble peakGflops(int cores) {
        return vectors == Vectors.UNKNOWN || gigahertz.isEmpty() ? OptionalDouble.empty()
                : OptionalDouble.of(cores * gigahertz.getAsDouble() * vectors.flopsPerCycle());
    }

    /** The version of the loaded OpenBLAS, such as 0.3.19. */
    public static Optional<String> openBlasVersion() {
        return NativeLibraries.openBlas("openblas_get_config").map(VERSION::matcher).filter(Matcher::find)
                .map(found -> found.group(1) + "." + found.group(2) + "." + found.group(3));
    }

    /** The kernel that OpenBLAS computes with, by its own name. */
    public static Optional<String> kernel() {
        return NativeLibraries.openBlas("openblas_get_corename");
    }
}
