package io.github.dl4jlora.examples.serve.trial;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * What a process uses, as Linux tells it.
 *
 * @param resident    bytes
 * @param descriptors open ones
 * @param threads     running ones
 */
record Vitals(long resident, long descriptors, long threads) {

    private static final Path PROCESSES = Path.of("/proc");

    /** Empty where the system does not tell. */
    static Optional<Vitals> of(Process process) throws IOException {
        Path place = PROCESSES.resolve(String.valueOf(process.pid()));
        if (!Files.isReadable(place.resolve("status"))) {
            return Optional.empty();
        }
        try (Stream<Path> descriptors = Files.list(place.resolve("fd"))) {
            return Optional.of(new Vitals(1024 * number(place, "VmRSS:"), descriptors.count(), number(place, "Threads:")));
        }
    }

    private static long number(Path process, String name) throws IOException {
        return Files.readAllLines(process.resolve("status")).stream().filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).findFirst().orElse(0);
    }

    /** After its garbage is collected, if the JDK's jcmd is there; without it what is measured is more than what is used. */
    static Optional<Vitals> settled(Process process) throws IOException, InterruptedException {
        Path jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd");
        if (Files.isExecutable(jcmd)) {
            // Twice: what the first finds may hold memory outside of the heap, which is let go of afterwards.
            for (int i = 0; i < 2; i++) {
                new ProcessBuilder(jcmd.toString(), String.valueOf(process.pid()), "GC.run")
                        .redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start().waitFor();
                Thread.sleep(500);
            }
        }
        return of(process);
    }

    /** The name that the processor gives itself. */
    static String processor() throws IOException {
        Path info = PROCESSES.resolve("cpuinfo");
        String name = "unknown";
        if (Files.isReadable(info)) {
            name = Files.readAllLines(info).stream().filter(line -> line.startsWith("model name")).findFirst()
                    .map(line -> line.replaceFirst(".*?:\\s*", "")).orElse(name);
        }
        return name + ", " + Runtime.getRuntime().availableProcessors() + " cores";
    }

    @Override
    public String toString() {
        return String.format(Locale.ROOT, "%.0f MB resident, %d descriptors, %d threads", resident / 1e6, descriptors, threads);
    }
}
