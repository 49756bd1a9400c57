package io.github.dl4jlora;

import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Links of the pages to files of the project, and to headings, lead somewhere. */
class LinksTest {

    private static final Path TOP = Path.of("..");
    private static final Pattern LINK = Pattern.compile("\\]\\(([^)\\s]+)\\)");
    private static final Pattern ANCHOR = Pattern.compile("<a id=\"([^\"]+)\"></a>");

    @Test
    void everyLinkLeadsSomewhere() throws IOException {
        List<Path> pages;
        try (Stream<Path> top = Files.list(TOP); Stream<Path> docs = Files.walk(TOP.resolve("docs"))) {
            pages = Stream.concat(top, docs).filter(page -> page.toString().endsWith(".md")).toList();
        }
        List<String> dead = new ArrayList<>();
        int links = 0;
        for (Path page : pages) {
            Stream<MatchResult> found = LINK.matcher(Files.readString(page)).results();
            for (String target : found.map(link -> link.group(1)).toList()) {
                links++;
                if (!target.startsWith("http") && !leads(page, target)) {
                    dead.add(page + " -> " + target);
                }
            }
        }

        assertThat(dead).isEmpty();
        assertThat(links).isGreaterThan(100);
    }

    private static boolean leads(Path page, String target) throws IOException {
        int hash = target.indexOf('#');
        String file = hash < 0 ? target : target.substring(0, hash);
        Path to = file.isEmpty() ? page : page.resolveSibling(file).normalize();
        return Files.exists(to) && (hash < 0 || !to.toString().endsWith(".md")
                || anchors(to).contains(target.substring(hash + 1)));
    }

    /** As GitHub makes them of headings, and those that a page has itself. */
    private static Set<String> anchors(Path page) throws IOException {
        String text = Files.readString(page);
        return Stream.concat(ANCHOR.matcher(text).results().map(anchor -> anchor.group(1)), text.lines()
                .filter(line -> line.startsWith("#")).map(line -> line.replaceFirst("^#+\\s*", "")
                        .replaceAll("\\[([^\\]]*)\\]\\([^)]*\\)", "$1").strip().toLowerCase(Locale.ROOT)
                        .replaceAll("[^\\p{L}\\p{N}_\\- ]", "").replace(' ', '-'))).collect(Collectors.toSet());
    }
}
