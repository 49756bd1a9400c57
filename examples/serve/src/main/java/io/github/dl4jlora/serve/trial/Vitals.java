package io.github.dl4jlora.serve.trial;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Resources that a JVM uses, from Linux and the JDK's jcmd.
 *
 * @param resident    bytes
 * @param descriptors open ones
 * @param threads     running ones
 * @param heap        bytes in use after garbage collection; 0 if it was not measured, or there is no jcmd
 */
record Vitals(long resident, long descriptors, long threads, long heap) {

    private static final Path PROCESSES = Path.of("/proc");
    private static final Pattern USED = Pattern.compile("heap .*used (\\d+)K");

    /** Empty if the system does not tell. */
    static Optional<Vitals> of(Process process) throws IOException {
        Path place = PROCESSES.resolve(String.valueOf(process.pid()));
        if (!Files.isReadable(place.resolve("status"))) {
            return Optional.empty();
        }
        try (Stream<Path> descriptors = Files.list(place.resolve("fd"))) {
            return Optional.of(new Vitals(1024 * number(place, "VmRSS:"), descriptors.count(), number(place, "Threads:"), 0));
        }
    }

    private static long number(Path process, String name) throws IOException {
        return Files.readAllLines(process.resolve("status")).stream().filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", ""))).findFirst().orElse(0);
    }

    /** After garbage collection. */
    static Optional<Vitals> settled(Process process) throws IOException, InterruptedException {
        // Twice: objects that the first finds may hold memory outside of the heap, which is freed afterwards.
        for (int i = 0; i < 2; i++) {
            jcmd(process, "GC.run");
            Thread.sleep(500);
        }
        Matcher used = USED.matcher(jcmd(process, "GC.heap_info"));
        long heap = used.find() ? 1024 * Long.parseLong(used.group(1)) : 0;
        return of(process).map(vitals -> new Vitals(vitals.resident, vitals.descriptors, vitals.threads, heap));
    }

    private static String jcmd(Process process, String command) throws IOException {
        Path jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd");
        if (!Files.isExecutable(jcmd)) {
            return "";
        }
        Process asked = new ProcessBuilder(jcmd.toString(), String.valueOf(process.pid()), command).redirectErrorStream(true)
                .start();
        return new String(asked.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    /** The processor's own name. */
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
        return String.format(Locale.ROOT, "%.0f MB resident, %d descriptors, %d threads", resident / 1e6, descriptors, threads)
                + (heap == 0 ? "" : String.format(Locale.ROOT, ", %.1f MB of the heap", heap / 1e6));
    }
}
