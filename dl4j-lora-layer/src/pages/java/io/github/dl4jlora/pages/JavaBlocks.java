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
            for (CodeBlock block : CodeBlock.of(page.getKey(), CodeBlock.JAVA)) {
                printed.addAll(block.imports());
                String code = block.code().lines().filter(line -> !CodeBlock.imports(line)).collect(Collectors.joining("\n"));
                used.append(code).append('\n');
                if (!code.isBlank()) {
                    String name = "Block" + sources.size();
                    sources.add(new Source(block.toString(), name, String.join("\n", printed) + "\nclass " + name + " extends "
                            + page.getValue().getCanonicalName() + " {\nvoid run() throws Exception {\n" + code + "\n}\n}\n"));
                }
            }
            printed.stream().filter(line -> !Pattern.compile("\\b" + LAST_NAME.matcher(line.replaceFirst(".*\\.", ""))
                    .replaceFirst("$1") + "\\b").matcher(used).find())
                    .forEach(line -> mistakes.add(page.getKey() + ": no block needs " + line));
        }
        mistakes.addAll(complaints(sources, ""));
        return mistakes;
    }

    /**
     * {@return what the compiler says of sources: where, what, and the line; empty if all is well}
     *
     * @param but further warnings that are not wanted, such as {@code ,-serial}
     */
    public static List<String> complaints(List<Source> sources, String but) throws IOException {
        DiagnosticCollector<JavaFileObject> told = new DiagnosticCollector<>();
        // Analysed only: no class is written.
        ((JavacTask) ToolProvider.getSystemJavaCompiler().getTask(null, null, told,
                List.of("-Xlint:all,-path,-processing,-classfile,-try" + but, "-proc:none",
                        "-classpath", System.getProperty("java.class.path")), null, sources)).analyze();
        return told.getDiagnostics().stream().filter(message -> message.getKind() != Diagnostic.Kind.NOTE)
                .map(JavaBlocks::located).toList();
    }

    private static String located(Diagnostic<? extends JavaFileObject> message) {
        String said = message.getMessage(null);
        return message.getSource() instanceof Source source
                ? source.where + ": " + said + Arrays.stream(source.text.split("\n")).skip(message.getLineNumber() - 1)
                        .findFirst().map(line -> ": " + line.strip()).orElse("") : said;
    }

    /** A class, and the page or file that its code is of. */
    public static final class Source extends SimpleJavaFileObject {

        private final String where;
        private final String text;

        public Source(String where, String name, String text) {
            super(URI.create("string:///" + name + ".java"), Kind.SOURCE);
            this.where = where;
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }
    }
}
