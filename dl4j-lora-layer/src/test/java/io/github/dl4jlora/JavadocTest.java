package io.github.dl4jlora;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import javax.tools.DiagnosticCollector;
import javax.tools.DocumentationTool;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import java.io.File;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

import static org.assertj.core.api.Assertions.assertThat;

/** Documentation of the public API, as {@code javadoc -Xdoclint:all} wants it. */
class JavadocTest {

    @TempDir
    Path folder;

    @Test
    void thePublicApiIsDocumentedWithoutAWarning() throws IOException {
        DocumentationTool javadoc = ToolProvider.getSystemDocumentationTool();
        DiagnosticCollector<JavaFileObject> found = new DiagnosticCollector<>();
        StringWriter out = new StringWriter();
        try (StandardJavaFileManager files = javadoc.getStandardFileManager(found, Locale.ROOT, null)) {
            boolean done = javadoc.getTask(out, files, found, null, List.of("-quiet", "-Xdoclint:all", "-Xmaxwarns", "1000",
                    "-d", folder.toString(), "-sourcepath", "src/main/java",
                    "-classpath", String.join(File.pathSeparator, ChildJvm.classpath()),
                    "io.github.dl4jlora", "io.github.dl4jlora.adapter", "io.github.dl4jlora.frozen",
                    "io.github.dl4jlora.layer", "io.github.dl4jlora.variant"), null).call();

            assertThat(found.getDiagnostics()).extracting(Object::toString).isEmpty();
            assertThat(done).as(out.toString()).isTrue();
        }
    }
}
