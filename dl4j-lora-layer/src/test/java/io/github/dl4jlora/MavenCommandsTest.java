package io.github.dl4jlora;

import io.github.dl4jlora.pages.CodeBlock;
import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** Maven's command lines on the pages name modules, profiles, goals, programs and properties that there are. */
class MavenCommandsTest {

    private static final Set<String> FLAGS = Set.of("-q", "-am", "-ntp", "-o", "-B");
    private static final Set<String> PHASES = Set.of("clean", "compile", "test-compile", "test", "package", "verify", "install",
            "deploy");
    /** What Maven and plugins know without a POM that says so. */
    private static final Set<String> PROPERTIES = Set.of("skipTests", "test", "gpg.skip", "exec.skip", "exec.args",
            "exec.classpathScope");
    private static final String TOP = "";

    private final Poms poms;

    MavenCommandsTest() throws Exception {
        poms = new Poms();
    }

    @Test
    void whatTheyNameIsThere() throws IOException {
        List<ShellCommand> commands = ShellCommand.all().stream().filter(command -> command.program().equals("mvn")).toList();

        assertThat(commands).hasSizeGreaterThan(50);
        assertThat(commands.stream().flatMap(command -> mistakes(command).stream().map(mistake -> command + ": " + mistake)))
                .isEmpty();
    }

    private List<String> mistakes(ShellCommand command) {
        List<String> mistakes = new ArrayList<>();
        List<String> modules = new ArrayList<>(List.of(TOP));
        List<String> profiles = new ArrayList<>();
        List<String> goals = new ArrayList<>();
        List<String> words = command.words();
        for (int i = 1; i < words.size(); i++) {
            String word = words.get(i);
            if (word.equals("-pl")) {
                modules.addAll(List.of(words.get(++i).split(",")));
            } else if (word.equals("-f")) {
                modules.add(words.get(++i).replace("/pom.xml", ""));
            } else if (word.startsWith("-P")) {
                profiles.addAll(List.of(word.substring(2).split(",")));
            } else if (word.startsWith("-D")) {
                property(word.substring(2), mistakes);
            } else if (!word.startsWith("-")) {
                goals.add(word);
            } else if (!FLAGS.contains(word)) {
                mistakes.add("no option " + word);
            }
        }
        List<String> there = modules.stream().filter(module -> poms.builds(module, profiles)).toList();
        modules.stream().filter(module -> !there.contains(module)).map(module -> "no module " + module + " with the profiles "
                + profiles).forEach(mistakes::add);
        profiles.stream().filter(profile -> there.stream().noneMatch(module -> poms.hasProfile(module, profile)))
                .map(profile -> "no profile " + profile + " in " + there).forEach(mistakes::add);
        goals.stream().filter(goal -> !PHASES.contains(goal) && !goal.equals("exec:exec") && !(goal.startsWith(ShellCommand.EXEC)
                && there.stream().anyMatch(module -> poms.runs(module, goal.substring(ShellCommand.EXEC.length()), profiles))))
                .map(goal -> "no goal " + goal + " in " + there + " with the profiles " + profiles).forEach(mistakes::add);
        if (goals.isEmpty()) {
            mistakes.add("no goal");
        }
        return mistakes;
    }

    private void property(String setting, List<String> mistakes) {
        String name = setting.replaceFirst("=.*", "");
        if (!PROPERTIES.contains(name) && !poms.knows(name)) {
            mistakes.add("no property " + name);
        }
        if (name.equals("task") && sources().noneMatch(file -> file.endsWith("/tasks/" + setting.substring(5) + ".java"))) {
            mistakes.add("no program " + setting);
        }
    }

    private static Stream<String> sources() {
        try (Stream<Path> files = Files.walk(CodeBlock.TOP.resolve("examples"))) {
            return files.map(file -> file.toString().replace('\\', '/')).filter(file -> file.contains("/src/main/")).toList()
                    .stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
