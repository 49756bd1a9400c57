package io.github.dl4jlora;

import io.github.dl4jlora.internal.processor.NativeLibraries;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiFunction;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.DiagnosticCollector;
import javax.tools.DocumentationTool;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** The pages of the public API, made as the build makes them, and as {@code javadoc -Xdoclint:all} wants them. */
class JavadocTest {

    private static final Path SOURCES = Path.of("src/main/java");
    private static final Pattern OFFLINE_LINK = Pattern.compile("<url>\\$\\{javadoc.links}(.*?)</url>\\s*"
            + "<location>\\$\\{project.basedir}/(.*?)</location>");
    private static final Pattern TARGET = Pattern.compile("href=\"([^\"#?]+)");
    private static final Pattern LABEL = Pattern.compile("<a href=[^>]*><code>([^<]*\\([^<]*)</code></a>");
    private static final Pattern GROUP = Pattern.compile("<group>\\s*<title>(.*?)</title>");
    private static final Pattern QUALIFIED = Pattern.compile("\\b(?:io|org|com)(?:\\.[a-z]\\w*)+\\.[A-Z]\\w*");

    @TempDir
    private static Path folder;
    private static Path pages;
    private static DiagnosticCollector<JavaFileObject> warnings;
    private static boolean done;
    private static StringWriter out;

    @BeforeAll
    static void makeThePages() throws IOException {
        assumeTrue(NativeLibraries.has("org.bytedeco.dnnl.global.dnnl"),
                "oneDNN, which the sources name, is not on the class path");
        String classpath = ChildJvm.classpath().stream().filter(entry -> !entry.endsWith("test-classes"))
                .collect(Collectors.joining(File.pathSeparator));
        Path sources = folder.resolve("sources");
        PublicSources.copy(SOURCES, sources, classpath);
        pages = folder.resolve("pages");
        DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
        warnings = new DiagnosticCollector<>();
        out = new StringWriter();
        try (StandardJavaFileManager files = javadoc.getStandardFileManager(warnings, Locale.ROOT, StandardCharsets.UTF_8)) {
            List<String> options = new ArrayList<>(List.of("-quiet", "-Xdoclint:all", "-Xmaxwarns", "1000",
                    "-encoding", "UTF-8", "-docencoding", "UTF-8", "-sourcepath", sources.toString(),
                    "-classpath", classpath, "-d", pages.toString(), "-overview", "src/javadoc/overview.html"));
            List<MatchResult> links = OFFLINE_LINK.matcher(Files.readString(Path.of("pom.xml"))).results().toList();
            assertThat(links).hasSize(3);
            links.forEach(link -> options.addAll(List.of("-linkoffline", "https://localhost" + link.group(1), link.group(2))));
            options.addAll(packages());
            done = javadoc.getTask(out, files, warnings, null, options, null).call();
        }
    }

    @Test
    void thePublicApiIsDocumentedWithoutAWarning() {
        assertThat(warnings.getDiagnostics()).extracting(Object::toString).isEmpty();
        assertThat(done).as(out.toString()).isTrue();
    }

    @Test
    void everyLinkLeadsToAPage() throws IOException {
        assertThat(found((page, text) -> TARGET.matcher(text).results().map(target -> target.group(1))
                .filter(target -> !target.contains(":") && !Files.exists(page.resolveSibling(target))))).isEmpty();
    }

    /** javadoc writes a type that it can link by its short name; so what is written out in full has no page. */
    @Test
    void noTypeIsNamedInFullForWantOfAPage() throws IOException {
        assertThat(found((page, text) -> QUALIFIED.matcher(shown(text.replaceAll("(?s)<a .*?</a>", ""))).results()
                .map(MatchResult::group).filter(name -> !Files.exists(pages.resolve(name.replace('.', '/') + ".html")))))
                .isEmpty();
    }

    /** Inside of packages named internal, and outside of them where a class is not public. */
    @Test
    void noClassWithoutAPageIsNamed() throws IOException {
        Set<String> known = pages().keySet().stream().map(page -> page.getFileName().toString().replace(".html", ""))
                .collect(Collectors.toSet());
        Set<String> without = new TreeSet<>();
        try (Stream<Path> files = Files.walk(SOURCES)) {
            files.map(file -> file.getFileName().toString()).filter(name -> name.matches("[A-Z]\\w*[a-z]\\w*[A-Z]\\w*\\.java"))
                    .map(name -> name.replace(".java", "")).filter(name -> !known.contains(name)).forEach(without::add);
        }

        assertThat(without).hasSizeGreaterThan(100);
        assertThat(found((page, text) -> Pattern.compile("\\w+").matcher(shown(text)).results().map(MatchResult::group)
                .filter(without::contains))).isEmpty();
    }

    @Test
    void theOverviewSaysWhereToBegin() throws IOException {
        assertThat(Files.readString(pages.resolve("index.html"))).contains("Where to begin",
                "io/github/dl4jlora/LoRA.html",
                "io/github/dl4jlora/conf/LoRAConfig.html", "io/github/dl4jlora/adapter/LoRAAdapter.html");
    }

    /** The tool writes the types of parameters in full where a link names a method without them. */
    @Test
    void noLinkShowsTypesInFull() throws IOException {
        assertThat(found((page, text) -> LABEL.matcher(text).results().map(label -> label.group(1))
                .filter(label -> label.substring(label.indexOf('(')).matches(".*[a-z]\\.\\w.*")))).isEmpty();
    }

    /** Maven's plugin escapes a comma, javadoc escapes that again, and a reader sees a number. */
    @Test
    void titlesOfGroupsHaveNothingToEscape() throws IOException {
        assertThat(GROUP.matcher(Files.readString(Path.of("pom.xml"))).results().map(group -> group.group(1)))
                .hasSizeGreaterThan(3).allMatch(title -> title.matches("[A-Za-z ]+"));
    }

    /** By page what is wrong with it, of all pages. */
    private static Map<String, Set<String>> found(BiFunction<Path, String, Stream<String>> fault) throws IOException {
        Map<String, Set<String>> faults = new TreeMap<>();
        pages().forEach((page, text) -> fault.apply(page, text).forEach(name ->
                faults.computeIfAbsent(pages.relativize(page).toString(), none -> new TreeSet<>()).add(name)));
        return faults;
    }

    private static String shown(String page) {
        return page.replaceAll("(?s)<script.*?</script>|<[^>]*>", "");
    }

    private static Map<Path, String> pages() throws IOException {
        Map<Path, String> texts = new TreeMap<>();
        try (Stream<Path> files = Files.walk(pages)) {
            for (Path page : files.filter(file -> file.toString().endsWith(".html")).toList()) {
                texts.put(page, Files.readString(page));
            }
        }
        assertThat(texts).hasSizeGreaterThan(100);
        return texts;
    }

    /** All but what is below internal. */
    private static List<String> packages() throws IOException {
        try (Stream<Path> files = Files.walk(SOURCES)) {
            List<String> packages = files.filter(file -> file.endsWith("package-info.java"))
                    .map(file -> SOURCES.relativize(file.getParent()).toString().replace(File.separatorChar, '.'))
                    .filter(name -> !name.contains(".internal.")).sorted().toList();
            assertThat(packages).contains("io.github.dl4jlora", "io.github.dl4jlora.conf", "io.github.dl4jlora.bank");
            return packages;
        }
    }
}
