package io.github.dl4jlora;

import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

/** Each block of code on a page, and each program that pages run, belongs to a test: none can be forgotten. */
class CodeBlocksTest {

    /** Which test compiles, runs or compares blocks, by {@code language page}. A test of one page names it. */
    private static final Map<String, String> OF_BLOCKS = Map.ofEntries(
            Map.entry("java README\\.md", "ReadmeTest"), Map.entry("java docs/guide/(?!elsewhere\\.|see\\.|service\\.).*",
                    "JavaBlocksTest"), Map.entry("java docs/guide/elsewhere\\.md", "ElsewhereTest"),
            Map.entry("java docs/guide/see\\.md", "AdapterReportTest"),
            Map.entry("java docs/guide/service\\.md", "ServiceGuideTest"),
            Map.entry("java docs/scale\\.md", "ScaleGuideTest"), Map.entry("java docs/models\\.md", "ModelsPageTest"),
            Map.entry("java docs/(minilm|encoders)\\.md", "MiniLmPageTest"),
            Map.entry("xml .*", "BuildBlocksTest"), Map.entry("groovy .*", "BuildBlocksTest"),
            Map.entry("sh .*", "CodeBlocksTest"),
            Map.entry("text docs/guide/cli\\.md", "HelpTest"), Map.entry("json docs/guide/cli\\.md", "JsonGuideTest"),
            Map.entry("(text|json|python|js) docs/guide/service\\.md", "ServiceGuideTest"),
            Map.entry("python .*", "CodeBlocksTest"),
            Map.entry("text docs/guide/(adapt|combine)\\.md", "PrintedTest"));
    /** Which test looks at the arguments of a program. */
    private static final Map<String, String> OF_PROGRAMS = Map.ofEntries(
            Map.entry("mvn", "MavenCommandsTest"), Map.entry("dl4j-lora", "HelpTest"), Map.entry("java", "HelpTest"),
            Map.entry("curl", "OpenApiTest"), Map.entry("printf", "ServiceGuideTest"));
    /** Whose arguments are the shell's or the contributor's own affair. */
    private static final Set<String> PLAIN = Set.of("cd", "mkdir", "cp", "export", "alias", "git", "sha256sum", "zip");

    /** Sources of tests by their class. */
    private static Map<String, Path> tests() throws IOException {
        Map<String, Path> tests = new TreeMap<>();
        Files.walkFileTree(CodeBlock.TOP, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult preVisitDirectory(Path folder, BasicFileAttributes attributes) {
                return Set.of("target", ".git").contains(folder.getFileName().toString()) ? FileVisitResult.SKIP_SUBTREE
                        : FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                if (file.toString().endsWith("Test.java")) {
                    tests.put(file.getFileName().toString().replace(".java", ""), file);
                }
                return FileVisitResult.CONTINUE;
            }
        });
        return tests;
    }

    @Test
    void eachBlockBelongsToATest() throws IOException {
        Map<String, Path> tests = tests();
        List<String> alone = new ArrayList<>();
        Set<String> unused = new HashSet<>(OF_BLOCKS.keySet());
        for (CodeBlock block : CodeBlock.all()) {
            String kind = block.language() + " " + block.page();
            List<String> claims = OF_BLOCKS.keySet().stream().filter(claim -> Pattern.matches(claim, kind)).toList();
            if (claims.isEmpty()) {
                alone.add(block + ", in \"" + block.language() + "\"");
            }
            unused.removeAll(claims);
        }

        assertThat(alone).as("blocks that no test looks at").isEmpty();
        assertThat(unused).as("claims without a block").isEmpty();
        assertThat(tests.keySet()).containsAll(OF_BLOCKS.values()).containsAll(OF_PROGRAMS.values());
        OF_BLOCKS.forEach((claim, test) -> {
            if (claim.endsWith("\\.md")) {
                String page = claim.replaceFirst(".*[/ (|)]([\\w-]+)\\)?\\\\\\.md$", "$1.md");
                assertThat(tests.get(test)).content().as(claim).contains(page);
            }
        });
    }

    @Test
    void eachProgramIsOneThatATestKnows() throws IOException {
        assertThat(ShellCommand.all()).hasSizeGreaterThan(60).allSatisfy(command -> {
            String program = command.program();
            if (program.equals("bash") || program.contains("/")) {
                String script = program.equals("bash") ? command.words().get(1) : program;
                assertThat(CodeBlock.TOP.resolve(script)).as(command.toString()).isRegularFile();
                assertThat(program.equals("bash") || Files.isExecutable(CodeBlock.TOP.resolve(script))).as(script).isTrue();
            } else {
                assertThat(OF_PROGRAMS.containsKey(program) || PLAIN.contains(program) || program.matches("[A-Z]+=.*"))
                        .as(command.toString()).isTrue();
            }
        });
    }

    @Test
    void eachOptionOfAProgramOfMavenIsRead() throws IOException {
        StringBuilder tests = new StringBuilder();
        for (Path test : tests().values()) {
            tests.append(Files.readString(test));
        }
        Set<String> programs = ShellCommand.all().stream().map(ShellCommand::words)
                .filter(words -> words.stream().anyMatch(word -> word.startsWith(ShellCommand.ARGS)))
                .flatMap(List::stream).filter(word -> word.startsWith(ShellCommand.EXEC))
                .map(word -> word.substring(ShellCommand.EXEC.length())).collect(Collectors.toSet());

        assertThat(programs).hasSizeGreaterThan(5).allSatisfy(program ->
                assertThat(tests).as("a test that reads them").contains("argumentsOf(\"" + program + "\")"));
    }

    /** The one file of the command line is where its module's build puts it. */
    @Test
    void jarsAreWhereTheBuildPutsThem() throws IOException {
        Pattern jar = Pattern.compile("([\\w/-]+?)/target/((?:serve/)?dl4j-lora[\\w-]*\\.jar)");
        List<MatchResult> named = ShellCommand.all().stream()
                .flatMap(command -> jar.matcher(String.join(" ", command.words()).replace("$PWD/", "")).results()).toList();

        assertThat(named).hasSizeGreaterThan(4).allSatisfy(match -> assertThat(Files.readString(
                CodeBlock.TOP.resolve(match.group(1)).resolve("pom.xml")).replaceAll("</finalName>\\s*<classifier>", "-")
                .replaceAll("<(outputFile>.*|finalName>)(dl4j-lora[\\w-]*)(\\.jar)?<", "built: $2.jar "))
                .as(match.group()).contains("built: " + match.group(2).replaceFirst(".*/", "") + " "));
    }

    @Test
    void bashAndPythonReadTheirBlocks() throws IOException, InterruptedException {
        StringBuilder bash = new StringBuilder();
        StringBuilder python = new StringBuilder("import ast\n");
        for (CodeBlock block : CodeBlock.all()) {
            if (block.language().equals(CodeBlock.SHELL)) {
                bash.append(": ").append(block).append('\n').append(block.code());
            } else if (block.language().equals("python")) {
                python.append("ast.parse(r'''").append(block.code()).append("''', '").append(block).append("')\n");
            }
        }

        requireSilent(bash.toString(), "bash", "-n");
        requireSilent(python.toString(), "python3", "-");
    }

    /** Where there is such a program. */
    private static void requireSilent(String script, String... program) throws IOException, InterruptedException {
        Process running;
        try {
            ProcessBuilder builder = new ProcessBuilder(program).redirectErrorStream(true);
            // Bash warns of a locale that is not installed.
            builder.environment().put("LC_ALL", "C");
            running = builder.start();
        } catch (IOException e) {
            assumeTrue(false, "needs " + program[0]);
            return;
        }
        running.getOutputStream().write(script.getBytes(StandardCharsets.UTF_8));
        running.getOutputStream().close();
        assertThat(new String(running.getInputStream().readAllBytes(), StandardCharsets.UTF_8)).isEmpty();
        assertThat(running.waitFor()).isZero();
    }
}
