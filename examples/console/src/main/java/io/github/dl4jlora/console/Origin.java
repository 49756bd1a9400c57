package io.github.dl4jlora.console;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Where figures come from: without it they mean nothing. The version is that of the library on the class path. */
public final class Origin {

    private static final Path CPU = Path.of("/proc/cpuinfo");
    private static final String PROPERTIES = "/io/github/dl4jlora/internal/peft/plugin.properties";
    private static final String UNKNOWN = "unknown";

    private Origin() {
    }

    /**
     * {@return by name, in order: the library's version, the commit of the working directory, today's date in UTC, processor,
     * operating system and JDK} What cannot be found is "unknown"; a commit is "with changes" if files differ from it.
     */
    public static Map<String, String> facts() {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("version", version());
        facts.put("commit", commit());
        facts.put("date", LocalDate.now(ZoneOffset.UTC).toString());
        facts.put("processor", processor());
        facts.put("system", System.getProperty("os.name") + " " + System.getProperty("os.arch"));
        facts.put("JDK", System.getProperty("java.version"));
        return facts;
    }

    /** {@return the facts that matter most, in one sentence; facts that are missing are left out} */
    public static String sentence(Map<String, String> facts) {
        List<String> software = Stream.of("JDK", "OpenBLAS", "oneDNN", "PyTorch")
                .filter(name -> facts.getOrDefault(name, "").matches("\\d.*"))
                .map(name -> name + " " + facts.get(name).replaceFirst("[-:+, ].*", "")).toList();
        String counts = Stream.of("rounds", "seeds").filter(facts::containsKey).map(name -> "; " + name + ": " + facts.get(name))
                .collect(Collectors.joining());
        return "Version " + facts.get("version") + ", commit " + facts.get("commit") + ", " + facts.get("date") + "; "
                + facts.get("processor") + (software.isEmpty() ? "" : "; " + String.join(", ", software))
                + counts + ".";
    }

    private static String version() {
        Properties properties = new Properties();
        try (InputStream in = Origin.class.getResourceAsStream(PROPERTIES)) {
            if (in != null) {
                properties.load(in);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return properties.getProperty("version", UNKNOWN);
    }

    private static String commit() {
        String commit = git("rev-parse", "--short=8", "HEAD");
        // What was measured is no part of what measures.
        return commit.isEmpty() ? UNKNOWN
                : commit + (git("status", "--porcelain", "--", ":!docs", ":!*.md").isEmpty() ? "" : " with changes");
    }

    /** What Git prints, or the empty string if it fails or is missing. */
    private static String git(String... arguments) {
        try {
            Process git = new ProcessBuilder(Stream.concat(Stream.of("git"), Stream.of(arguments)).toList())
                    .redirectError(ProcessBuilder.Redirect.DISCARD).start();
            String printed = new String(git.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
            return git.waitFor() == 0 ? printed : "";
        } catch (IOException e) {
            return "";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "";
        }
    }

    private static String processor() {
        List<String> flags = List.of(field("flags").split(" "));
        String vectors = flags.stream().filter(flag -> flag.matches("avx2|avx512f|avx512_(bf|fp)16|amx_(tile|bf16)")).sorted()
                .collect(Collectors.joining(" "));
        int cores = Runtime.getRuntime().availableProcessors();
        return field("model name") + ", " + (vectors.isEmpty() ? "vector instructions " + UNKNOWN : vectors) + ", "
                + (cores == 1 ? "1 core" : cores + " cores");
    }

    private static String field(String name) {
        if (!Files.isReadable(CPU)) {
            return UNKNOWN;
        }
        try (Stream<String> lines = Files.lines(CPU)) {
            return lines.filter(line -> line.startsWith(name)).findFirst().map(line -> line.replaceFirst(".*?:\\s*", ""))
                    .orElse(UNKNOWN);
        } catch (IOException e) {
            return UNKNOWN;
        }
    }
}
