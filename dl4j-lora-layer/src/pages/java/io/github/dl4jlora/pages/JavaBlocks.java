package io.github.dl4jlora.pages;

import com.sun.source.util.JavacTask;

import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;

/**
 * Compiles the Java blocks of pages as they are printed. A block is the body of a method. Its imports are those that its page
 * prints above the block or in it, and no others. What a block uses and does not declare is the reader's: a class has these
 * names as its members.
 */
public final class JavaBlocks {

    private static final Pattern LAST_NAME = Pattern.compile("(\\w+);.*");

    private JavaBlocks() {
    }

    /**
     * @param names by page: the class whose members are the names that the page leaves to the reader; public, as the members
     *              are, or protected
     * @return what the compiler says, and what is imported for nothing; empty if all is well
     */
    public static List<String> mistakes(Map<String, Class<?>> names) throws IOException {
        List<String> mistakes = new ArrayList<>();
        List<Source> sources = new ArrayList<>();
        for (Map.Entry<String, Class<?>> page : names.entrySet()) {
            Set<String> printed = new LinkedHashSet<>();
            StringBuilder used = new StringBuilder();
            for (CodeBlock block : CodeBlock.of(page.getKey())) {
                if (block.language().equals(CodeBlock.JAVA)) {
                    printed.addAll(block.imports());
                    String code = block.code().lines().filter(line -> !CodeBlock.imports(line)).collect(Collectors.joining("\n"));
                    used.append(code).append('\n');
                    if (!code.isBlank()) {
                        sources.add(new Source(block, List.copyOf(printed), page.getValue(), code, sources.size()));
                    }
                }
            }
            printed.stream().filter(line -> !Pattern.compile("\\b" + LAST_NAME.matcher(line.replaceFirst(".*\\.", ""))
                    .replaceFirst("$1") + "\\b").matcher(used).find())
                    .forEach(line -> mistakes.add(page.getKey() + ": no block needs " + line));
        }
        DiagnosticCollector<JavaFileObject> told = new DiagnosticCollector<>();
        // Analysed only: no class is written.
        ((JavacTask) ToolProvider.getSystemJavaCompiler().getTask(null, null, told,
                List.of("-Xlint:all,-path,-processing,-classfile,-try", "-proc:none",
                        "-classpath", System.getProperty("java.class.path")), null, sources)).analyze();
        told.getDiagnostics().stream().filter(message -> message.getKind() != Diagnostic.Kind.NOTE)
                .map(JavaBlocks::located).forEach(mistakes::add);
        return mistakes;
    }

    private static String located(Diagnostic<? extends JavaFileObject> message) {
        String said = message.getMessage(null);
        return message.getSource() instanceof Source source
                ? source.block + ": " + said + Arrays.stream(source.text.split("\n")).skip(message.getLineNumber() - 1)
                        .findFirst().map(line -> ": " + line.strip()).orElse("") : said;
    }

    private static final class Source extends SimpleJavaFileObject {

        private final CodeBlock block;
        private final String text;

        Source(CodeBlock block, List<String> imports, Class<?> names, String code, int number) {
            super(URI.create("string:///Block" + number + ".java"), Kind.SOURCE);
            this.block = block;
            text = String.join("\n", imports) + "\nclass Block" + number + " extends " + names.getCanonicalName()
                    + " {\nvoid run() throws Exception {\n" + code + "\n}\n}\n";
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }
    }
}
