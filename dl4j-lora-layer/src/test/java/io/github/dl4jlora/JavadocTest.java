package io.github.dl4jlora;

import io.github.dl4jlora.internal.processor.NativeLibraries;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import javax.tools.DiagnosticCollector;
import javax.tools.DocumentationTool;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Documentation of the public API, as {@code javadoc -Xdoclint:all} wants it. */
class JavadocTest {

    private static final Path SOURCES = Path.of("src/main/java");

    @TempDir
    Path folder;

    @Test
    void thePublicApiIsDocumentedWithoutAWarning() throws IOException {
        assumeTrue(NativeLibraries.has("org.bytedeco.dnnl.global.dnnl"),
                "oneDNN, which the sources name, is not on the class path");
        DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        StringWriter out = new StringWriter();
        try (StandardJavaFileManager files = javadoc.getStandardFileManager(found, Locale.ROOT, null)) {
            List<String> options = new ArrayList<>(List.of("-quiet", "-Xdoclint:all", "-Xmaxwarns", "1000",
                    "-d", folder.toString(), "-sourcepath", SOURCES.toString(),
                    "-classpath", String.join(File.pathSeparator, ChildJvm.classpath())));
            options.addAll(packages());
            boolean done = javadoc.getTask(out, files, found, null, options, null).call();

            assertThat(found.getDiagnostics()).extracting(Object::toString).isEmpty();
            assertThat(done).as(out.toString()).isTrue();
        }
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
