package io.github.dl4jlora.benchmarks.figures;

import io.github.dl4jlora.benchmarks.Machine;
import io.github.dl4jlora.benchmarks.Table;
import io.github.dl4jlora.console.ResultTable;
import io.github.dl4jlora.pages.ShellCommand;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** The pages show what docs/figures has. */
class FiguresTest {

    private static final Path TOP = Path.of("..").toAbsolutePath().normalize();
    private static final String REMEDY = "mvn -q -pl benchmarks -am compile exec:exec@figures -Dargs=\"--write-pages\"";
    private static final Measurement.Runner NOTHING = command -> {
        throw new AssertionError(command.command());
    };

    private static final Supplier<String> HERE = () -> "1234abcd; a processor";
    /** To ask the machine takes two processes and some seconds; one of the tests does. */
    private static final Supplier<Map<String, String>> MACHINE = () -> Map.of("version", "1.2.3", "commit", "1234abcd",
            "date", "2026-11-29", "processor", "a processor", "JDK", "17");

    @TempDir
    private Path project;

    @Test
    void everyOptionOnThePagesIsAccepted() throws IOException {
        assertThat(ShellCommand.argumentsOf("figures")).isNotEmpty()
                .allSatisfy(words -> line().parseArgs(words.toArray(String[]::new)));
    }

    @Test
    void everyBlockShowsWhatItsFileHas() throws IOException {
        FigureFiles files = new FigureFiles(TOP);
        for (Page page : Page.all(TOP)) {
            assertThat(page.text()).as("%s: put right by %s", page.path(), REMEDY).isEqualTo(page.filled(files));
        }
    }

    @Test
    void whoShowsATableSaysWhereItsFiguresComeFrom() throws IOException {
        for (Page page : Page.all(TOP)) {
            Set<String> blocks = Set.copyOf(page.blocks());
            assertThat(blocks).as("%s", page.path()).containsAll(blocks.stream().filter(name -> name.contains("/"))
                    .map(name -> name.substring(0, name.indexOf('/'))).toList());
        }
    }

    /** A reader who compares two tables of a page must not compare two days of development. */
    @Test
    void everyPageShowsFiguresOfOneDayAndOneVersion() throws IOException {
        Pattern origin = Pattern.compile("Version\\s+(\\S+),\\s+commit\\s+\\w+,\\s+([-\\d]+);");
        Map<String, Set<String>> pages = new LinkedHashMap<>();
        for (Page page : Page.all(TOP)) {
            pages.put(page.path().toString(), origin.matcher(page.text()).results()
                    .map(found -> found.group(1) + " of " + found.group(2)).collect(Collectors.toSet()));
        }

        assertThat(pages.values()).anySatisfy(origins -> assertThat(origins).hasSize(1));
        assertThat(pages).allSatisfy((page, origins) -> assertThat(origins).as(page).hasSizeLessThanOrEqualTo(1));
    }

    @Test
    void everyFileIsThatOfAPartAndIsShown() throws IOException {
        Set<String> shown = new TreeSet<>();
        for (Page page : Page.all(TOP)) {
            page.blocks().stream().filter(name -> name.contains("/")).map(name -> name.substring(0, name.indexOf('/')))
                    .forEach(shown::add);
        }
        List<String> names = new FigureFiles(TOP).names();

        assertThat(names).isSubsetOf(shown).allSatisfy(name -> assertThat(Part.of(name)).as(name).isNotNull());
    }

    /** Parts run programs after the phase compile, in which Maven finds no tests of another module. */
    @Test
    void noPartHasAProfileThatNeedsTestsOfAnotherModule() throws IOException {
        Set<String> profiles = Stream.of(Part.values()).flatMap(part -> part.tasks().stream())
                .flatMap(task -> Stream.of(task.module().split(" "))).filter(word -> word.startsWith("-P"))
                .flatMap(word -> Stream.of(word.substring(2).split(","))).collect(Collectors.toSet());
        List<String> needy = new ArrayList<>();
        try (Stream<Path> files = Files.find(TOP, 3, (file, attributes) -> file.endsWith("pom.xml"))) {
            for (Path pom : files.toList()) {
                Matcher profile = Pattern.compile("<profile>\\s*<id>([^<]+)</id>(.*?)</profile>", Pattern.DOTALL)
                        .matcher(Files.readString(pom));
                profile.results().filter(one -> one.group(2).contains("<type>test-jar</type>")).map(one -> one.group(1))
                        .forEach(needy::add);
            }
        }

        assertThat(needy).isNotEmpty().doesNotContainAnyElementsOf(profiles);
    }

    @Test
    void everyFileSaysWhereItComesFrom() throws IOException {
        FigureFiles files = new FigureFiles(TOP);
        List<String> names = files.names();
        assertThat(names).hasSizeGreaterThan(20);
        for (String name : names) {
            assertThat(files.file(name).origin()).as(name)
                    .containsKeys("version", "commit", "date", "processor", "JDK", "commands");
        }
        assertThat(files.file("evidence").origin()).containsKeys("version", "commit", "date", "processor", "JDK");
    }

    private static CommandLine line() {
        return Figures.commandLine(HERE, MACHINE, NOTHING);
    }

    private static FigureFile disk() {
        return FigureFile.of("disk", Map.of("version", "1.2.3", "commit", "abc", "date", "2026-11-29", "processor", "fast",
                "OpenBLAS", "0.3.31-1.5.13: with threads", "oneDNN", "not on the class path", "rounds", "3"),
                List.of(new Table("Bytes: on disk", "A note.", List.of(List.of("", "MB", "tuned"),
                        List.of("256 wide; as found", "1.50", "absent"), List.of("512 wide; one thread", "7.5", ""),
                        List.of("absent everywhere", "absent", "")))));
    }

    private FigureFiles project(String page) throws IOException {
        Files.createDirectories(project.resolve("docs/figures"));
        Files.writeString(project.resolve("README.md"), page);
        FigureFiles files = new FigureFiles(project);
        files.write(disk());
        return files;
    }

    private String written() throws IOException {
        assertThat(line().execute("--write-pages", "--top", project.toString())).isZero();
        return Files.readString(project.resolve("README.md"));
    }

    /** {@return what a run that fails prints} */
    private String failing(Measurement.Runner runner, String... args) {
        StringWriter out = new StringWriter();
        CommandLine line = Figures.commandLine(HERE, MACHINE, runner).setOut(new PrintWriter(out)).setErr(new PrintWriter(out));
        List<String> all = new ArrayList<>(List.of(args));
        all.addAll(List.of("--top", project.toString()));

        assertThat(line.execute(all.toArray(String[]::new))).isEqualTo(CommandLine.ExitCode.SOFTWARE);
        assertThat(out.toString()).doesNotContain("\tat ");
        return out.toString();
    }

    /** Stands for a comparison that leaves these tables. */
    private static int report(ProcessBuilder command, Table... tables) throws IOException {
        Path folder = command.redirectOutput().file().toPath().getParent();
        Files.writeString(folder.resolve("report.md"), Stream.of(tables).map(Table::markdown).collect(Collectors.joining()));
        return 0;
    }

    @Test
    void aPageGetsTableAndOriginOfAFile() throws IOException {
        project("Sizes:\n\n<!-- figures: disk/bytes-on-disk -->\nold\n<!-- /figures -->\n\n"
                + "<!-- figures: disk/bytes-on-disk; rows: one thread -->\n<!-- /figures -->\n\n"
                + "<!-- figures: disk -->\n<!-- /figures -->\n\nEnd.\n");

        String page = written();

        assertThat(page).isEqualTo("""
                Sizes:

                <!-- figures: disk/bytes-on-disk -->
                |  | MB |
                | --- | ---: |
                | 256 wide; as found | 1.50 |
                | 512 wide; one thread | 7.5 |
                <!-- /figures -->

                <!-- figures: disk/bytes-on-disk; rows: one thread -->
                |  | MB |
                | --- | ---: |
                | 512 wide | 7.5 |
                <!-- /figures -->

                <!-- figures: disk -->
                [disk](docs/figures/disk.md): Version 1.2.3, commit abc, 2026-11-29; fast; OpenBLAS 0.3.31; rounds: 3.
                <!-- /figures -->

                End.
                """);
        assertThat(written()).isEqualTo(page);
    }

    @Test
    void aBlockWithoutFileOrTableIsRefusedByName() throws IOException {
        FigureFiles files = project("<!-- figures: disk/bytes -->\n<!-- /figures -->\n");
        Page page = Page.all(project).get(0);
        assertThatThrownBy(() -> page.filled(files)).hasMessageContaining("has no table bytes, only [bytes-on-disk]");

        FigureFiles none = project("<!-- figures: lstm/lstms -->\n<!-- /figures -->\n");
        Page other = Page.all(project).get(0);
        assertThatThrownBy(() -> other.filled(none)).hasMessageContaining("lstm.md is not there: measure it by --part lstm");
    }

    @Test
    void aFileIsReadAsItWasWritten() throws IOException {
        project("");
        FigureFile written = disk();

        FigureFile read = FigureFile.read(project.resolve("docs/figures/disk.md"));

        assertThat(read.origin()).isEqualTo(written.origin());
        assertThat(read.tables().keySet()).containsExactly("bytes-on-disk");
        assertThat(read.tables().get("bytes-on-disk").rows()).isEqualTo(written.tables().get("bytes-on-disk").rows());
    }

    @Test
    void aBlockThatDoesNotEndIsRefusedByItsPage() throws IOException {
        String block = "<!-- figures: disk -->\n";
        String end = "<!-- /figures -->\n";
        for (String page : List.of(block + "Kept.\n" + block + end, block + "Kept.\n" + block + end + end, block, end,
                block + "<!-- /figure -->\nKept.\n<!-- figure: disk -->\n" + end)) {
            project(page);

            assertThat(failing(NOTHING, "--write-pages")).contains("README.md", "each block must begin with")
                    .doesNotContain("Written");
            assertThat(project.resolve("README.md")).hasContent(page);
        }
    }

    @Test
    void rowsThatAreNotThereAreRefusedByBlockAndFilter() throws IOException {
        project("<!-- figures: disk/bytes-on-disk; rows: mised -->\n<!-- /figures -->\n");

        assertThat(failing(NOTHING, "--write-pages")).contains("README.md", "disk/bytes-on-disk; rows: mised");
    }

    @Test
    void noPageIsWrittenIfOneCannotBe() throws IOException {
        String readme = "<!-- figures: disk -->\n<!-- /figures -->\n";
        project(readme);
        Files.writeString(project.resolve("docs/later.md"), "<!-- figures: lstm/lstms -->\n<!-- /figures -->\n");

        assertThat(failing(NOTHING, "--write-pages")).contains("later.md", "measure it by --part lstm");
        assertThat(project.resolve("README.md")).hasContent(readme);
    }

    @Test
    void anIncompleteReportReplacesNoFile() throws IOException {
        project("");
        String old = Files.readString(project.resolve("docs/figures/disk.md"));

        assertThat(failing(command -> report(command, new Table("Failures", "", List.of(List.of("Not measured"), List.of("a"))),
                new Table("Bytes", "", List.of(List.of("", "MB"), List.of("a", "1")))), "--part", "disk"))
                .contains("disk.md is not written", Path.of("target", "figures", "disk", "report.md").toString());
        assertThat(project.resolve("docs/figures/disk.md")).hasContent(old.strip());
    }

    @Test
    void anOldReportIsNotTakenForANewOne() throws IOException {
        project("");
        Path folder = Files.createDirectories(project.resolve("benchmarks/target/figures/disk"));
        Files.writeString(folder.resolve("report.md"), disk().markdown());

        assertThat(failing(command -> 0, "--part", "disk")).contains("disk could not be measured: ", "report.md");
    }

    @Test
    void aProgramThatPrintsNoTableIsRefused() throws IOException {
        project("");

        assertThat(failing(command -> {
            Files.writeString(command.redirectOutput().file().toPath(), "No table.\n");
            return 0;
        }, "--part", "spam")).contains("spam could not be measured: ", "no table with rows", "output-1.txt");
        assertThat(project.resolve("docs/figures/spam.md")).doesNotExist();
    }

    @Test
    void thePageOfClaimsIsReplacedOnlyByAWholeOne() throws IOException {
        project("");
        Path page = Files.writeString(project.resolve("docs/evidence.md"), "old");
        Path picture = project.resolve("docs/evidence/rates.png");
        Measurement.Runner claims = command -> {
            Path own = Files.writeString(command.redirectOutput().file().toPath(), "Look at it\n").getParent();
            Files.createDirectories(own.resolve("evidence"));
            Files.writeString(own.resolve("evidence.md"), "new");
            Files.writeString(own.resolve("evidence/rates.png"), "picture");
            return command.command().toString().contains("--complete") ? 0 : 1;
        };

        failing(command -> claims.run(command) + 1, "--part", "evidence");
        assertThat(page).hasContent("old");
        assertThat(picture).doesNotExist();

        assertThat(Figures.commandLine(HERE, MACHINE, claims).setOut(new PrintWriter(new StringWriter()))
                .execute("--part", "evidence", "--top", project.toString())).isZero();
        assertThat(page).hasContent("new");
        assertThat(picture).hasContent("picture");
    }

    @Test
    void roundsOfPartsWithoutRoundsAreRefused() {
        StringWriter err = new StringWriter();

        assertThat(line().setErr(new PrintWriter(err)).execute("--part", "spam,memory", "--rounds", "2"))
                .isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(err.toString()).contains("--rounds is 2, but none of these parts has rounds: [spam, memory]");
    }

    @Test
    void aPartThatFailsDoesNotEndTheOthers() throws IOException {
        project("");

        assertThat(failing(command -> {
            if (command.command().toString().contains("STORAGE")) {
                throw new UnsupportedOperationException("of this machine");
            }
            return report(command, new Table("Machine and versions", "", List.of(List.of("", "found"), List.of("JDK", "17"))),
                    new Table("Bytes", "", List.of(List.of("", "MB"), List.of("a", "1"))));
        }, "--part", "storage,disk")).contains("storage could not be measured: ", "of this machine", "disk took");
    }

    @Test
    void aBarInACellDoesNotEndIt() {
        Table table = new Table("Norms", "", List.of(List.of("", "|x|"), List.of("a|b", "1\n2")));

        assertThat(Table.read(table.markdown().lines()).get("norms").rows())
                .containsExactly(List.of("", "/x/"), List.of("a/b", "1 2"));
    }

    @Test
    void aSummaryWithoutOneOfItsFiguresIsRefused() throws IOException {
        project("");
        for (String name : Summary.SOURCES) {
            Path file = Path.of("docs", "figures", name + ".md");
            Files.writeString(project.resolve(file), Files.readString(TOP.resolve(file))
                    .replace("the same, base in INT8; one thread", "the same, base in NF4; one thread"));
        }

        assertThatThrownBy(() -> Summary.of(new FigureFiles(project), "steps"))
                .hasMessage("summary/steps has no figure for MiniLM, base in INT8");
    }

    @Test
    void printedTablesAreReadByTheirColumns() {
        ResultTable table = new ResultTable("", "F1", "trained parameters", "print, PSNR, dB", "on disk")
                .row("only the output", "0.894", "770", "", "82 MB").row("LoRA, rank 8", "", "74,498", "", "3 MB");
        List<String> printed = ("Some text\n" + table.toString(2000) + "\nMore text\n").lines().toList();

        assertThat(PrintedTables.of(printed)).containsExactly(List.of(List.of("", "F1", "trained parameters", "on disk"),
                List.of("only the output", "0.894", "770", "82 MB"), List.of("LoRA, rank 8", "", "74,498", "3 MB")));
    }

    @Test
    void rowsOfSeveralCommandsAreOneTable() {
        List<String> head = List.of("", "F1");

        assertThat(Table.joined(List.of(new Table("Spam", "", List.of(head, List.of("LoRA", "1"))),
                new Table("Spam", "", List.of(head, List.of("LoRA, INT8", "2"))))))
                .extracting(Table::rows).containsExactly(List.of(head, List.of("LoRA", "1"), List.of("LoRA, INT8", "2")));
    }

    @Test
    void missedTargetsAreChosenByTheirLastCell() throws IOException {
        Table targets = new Table("Targets", "", List.of(List.of("what", "target", "measured", ""),
                List.of("a", "1", "2", "missed"), List.of("b", "1", "1", "met")));

        assertThat(targets.rowsEnding("missed").rows()).containsExactly(targets.rows().get(0), targets.rows().get(1));
        project("<!-- figures: disk/bytes-on-disk; rows: missed -->\n<!-- /figures -->\n");
        assertThat(written()).contains("missed -->\nNone.\n<!-- /figures -->");
    }

    @Test
    void thePageOfBenchmarksListsTheParts() throws IOException {
        String page = Files.readString(TOP.resolve("docs/benchmarks.md"));

        assertThat(Part.values()).allSatisfy(part -> assertThat(page).contains("| `" + part.id() + "` | " + part.says() + " | "
                + part.minutes() + " |"));
    }

    @Test
    void partsAreListedAndUnknownOnesRefused() {
        StringWriter out = new StringWriter();
        CommandLine line = line().setOut(new PrintWriter(out)).setErr(new PrintWriter(out));

        assertThat(line.execute("--list")).isZero();
        assertThat(out.toString().lines()).hasSize(Part.values().length);
        assertThat(line.execute("--part", "speed")).isEqualTo(CommandLine.ExitCode.USAGE);
        assertThat(out.toString()).contains("--part speed is not a part. The parts are [dense, ");
    }

    @Test
    void commandsAreThoseOfThePages() {
        assertThat(Part.SPAM.tasks()).extracting(task -> task.line("3", Path.of("folder")))
                .containsExactly("mvn -q -Pminilm -pl examples/models -am compile exec:exec@spam -Dargs=\"train\"");
        assertThat(Part.STORAGE.tasks().get(0).words("2", Path.of("folder"))).containsExactly("mvn", "-q", "-pl", "benchmarks",
                "-am", "compile", "exec:exec@compare", "-Dargs=--only STORAGE --rounds 2 --output folder");
    }

    @Test
    void theReadmesTableHasAllItsFigures() {
        Table steps = Summary.of(new FigureFiles(TOP), "steps");

        assertThat(steps.rows()).hasSize(4);
        assertThat(steps.rows()).allSatisfy(row -> assertThat(row).doesNotContain(""));
    }

    /** Stands for the spam example, which prints other figures with every seed. */
    private static int spam(ProcessBuilder command, List<String> asked) throws IOException {
        String args = command.command().get(command.command().size() - 1);
        asked.add(args);
        int run = asked.size() - 1;
        ResultTable table = new ResultTable("", "F1", "trained parameters", "minutes", "peak memory", "kept on disk")
                .row("only the output layer", List.of("0.894", "0.900", "0.912").get(run), "770", "0.8",
                        List.of("980 MiB", "1,000 MiB", "1,020 MiB").get(run), List.of("-", "5 bytes", "5 bytes").get(run))
                .row("LoRA, rank 8", List.of("0.940", "0.940", "0.940").get(run), "74,498", List.of("1.2", "1.4", "1").get(run),
                        "911 MiB", "306,744 bytes");
        Files.writeString(command.redirectOutput().file().toPath(), "Kept in a folder\n\n" + table.toString(2000));
        return 0;
    }

    @Test
    void figuresOfSeveralSeedsAreMeansAndTheFileSaysOfWhich() throws IOException {
        project("<!-- figures: spam/spam -->\n<!-- /figures -->\n\n<!-- figures: spam -->\n<!-- /figures -->\n");
        List<String> asked = new ArrayList<>();

        assertThat(Figures.commandLine(HERE, MACHINE, command -> spam(command, asked)).setOut(new PrintWriter(new StringWriter()))
                .execute("--part", "spam", "--seeds", "3", "--write-pages", "--top", project.toString())).isZero();

        assertThat(asked).containsExactly("-Dargs=train --seed 7", "-Dargs=train --seed 8", "-Dargs=train --seed 9");
        List<String> expected = List.of("|  | F1 | trained parameters | minutes | peak memory | kept on disk |",
                "| only the output layer | 0.902 ± 0.009 | 770 | 0.8 | 1,000 ± 20 MiB | -; 5 bytes; 5 bytes |",
                "| LoRA, rank 8 | 0.940 | 74,498 | 1.2 ± 0.2 | 911 MiB | 306,744 bytes |");
        assertThat(project.resolve("docs/figures/spam.md")).content().contains("--part spam --seeds 3\"`", "| seeds | 7, 8, 9 |",
                "exec:exec@spam -Dargs=\"train --seed SEED\"` |", "mean over the seeds").contains(expected);
        assertThat(project.resolve("README.md")).content().contains(expected).contains("; seeds: 7, 8, 9.");
        assertThat(FigureFile.read(project.resolve("docs/figures/spam.md")).origin()).containsEntry("seeds", "7, 8, 9");
    }

    /** What the short form of the spam example printed with each seed, but for where it kept its files. */
    @Test
    void whatARealProgramPrintedWithThreeSeedsIsCombined() throws IOException {
        project("");

        assertThat(Figures.commandLine(HERE, Machine::facts, command -> {
            String seed = command.command().get(command.command().size() - 1).replaceFirst(".* ", "");
            Files.copy(Path.of("src/test/resources/figures/spam-short-seed-" + seed + ".txt"),
                    command.redirectOutput().file().toPath());
            return 0;
        }).setOut(new PrintWriter(new StringWriter())).execute("--part", "spam", "--seeds", "3", "--top", project.toString()))
                .isZero();

        assertThat(FigureFile.read(project.resolve("docs/figures/spam.md")).origin()).containsKeys("version", "commit", "date",
                "processor", "JDK", "JVM", "ND4J", "OpenBLAS", "OpenBLAS's kernels", "oneDNN", "Threads.settle()", "commands");
        assertThat(project.resolve("docs/figures/spam.md")).content().endsWith("""
                |  | F1 | precision | recall | trained parameters | minutes | peak memory | kept on disk |
                | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
                | head-only | 0.917 ± 0.017 | 0.884 ± 0.054 | 0.957 ± 0.044 | 770 | 0.0 | 708 ± 58 MiB | 82,890,638 ± 2 bytes |
                | LoRA, query and value | 0.767 ± 0.024 | 0.719 ± 0.074 | 0.841 ± 0.125 | 74,498 | 0.1 | 429 ± 13 MiB | \
                307,647 bytes |
                | LoRA, all linear layers | 0.954 ± 0.042 | 1.000 | 0.913 ± 0.076 | 332,546 | 0.1 | 437 ± 14 MiB | \
                1,355,483 bytes |
                | full fine-tuning | 0.978 | 1.000 | 0.957 | 22,566,146 | 0.1 | 566 ± 4 MiB | 82,890,020 ± 411 bytes |
                """);
    }

    @Test
    void aCommandWithoutSeedRunsOnceAndThoseWithOneForEach() throws IOException {
        project("");
        List<String> asked = new ArrayList<>();
        StringWriter out = new StringWriter();

        assertThat(Figures.commandLine(HERE, MACHINE, command -> {
            asked.add(command.command().get(command.command().size() - 1));
            Files.writeString(command.redirectOutput().file().toPath(), asked.size() == 1 ? "Converted\n"
                    : "\n" + new ResultTable("", "perplexity").row("base", "9.1" + 2 * asked.size()).toString(2000));
            return 0;
        }).setOut(new PrintWriter(out)).execute("--part", "bert-adapt", "--seeds", "2", "--top", project.toString()))
                .as("%s", out).isZero();

        assertThat(asked).containsExactly("-Dargs=convert", "-Dargs=adapt --seed 7", "-Dargs=adapt --seed 8");
        assertThat(project.resolve("docs/figures/bert-adapt.md")).content().contains("| base | 9.15 ± 0.01 |", "@bert "
                + "-Dargs=\"convert\"`");
    }

    /** Writes what a run prints, and ends with a status of 1 in one of the runs. */
    private static Measurement.Runner interruptedAt(int run, List<String> asked) {
        return command -> {
            String args = command.command().get(command.command().size() - 1);
            asked.add(args.replaceFirst(".*--seed ", ""));
            Files.writeString(command.redirectOutput().file().toPath(), "\n" + new ResultTable("", "F1")
                    .row("a method", "0." + args.replaceFirst(".*--seed ", "")).toString(2000));
            return asked.size() == run ? 1 : 0;
        };
    }

    private int measured(Supplier<String> where, Measurement.Runner runner) {
        return Figures.commandLine(where, MACHINE, runner).setOut(new PrintWriter(new StringWriter()))
                .execute("--part", "spam", "--seeds", "3", "--top", project.toString());
    }

    @Test
    void anInterruptedMeasurementGoesOnWhereItWas() throws IOException {
        project("");
        List<String> first = new ArrayList<>();
        List<String> second = new ArrayList<>();
        List<String> third = new ArrayList<>();

        assertThat(measured(HERE, interruptedAt(2, first))).isOne();
        assertThat(measured(HERE, interruptedAt(0, second))).isZero();

        assertThat(first).containsExactly("7", "8");
        assertThat(second).as("that of seed 8 had failed").containsExactly("8", "9");
        assertThat(project.resolve("docs/figures/spam.md")).content().contains("| a method | 0.8 ± 0.1 |");

        assertThat(measured(HERE, interruptedAt(0, third))).isZero();
        assertThat(third).as("what was written is measured anew").containsExactly("7", "8", "9");
    }

    @Test
    void whatAnotherCommitOrProcessorFinishedIsRunAgain() throws IOException {
        for (String where : List.of("5678abcd; a processor", "1234abcd; another", "")) {
            project("");
            List<String> again = new ArrayList<>();
            List<String> then = new ArrayList<>();
            assertThat(measured(HERE, interruptedAt(3, new ArrayList<>()))).isOne();

            assertThat(measured(() -> where, interruptedAt(3, again))).isOne();
            assertThat(measured(() -> where, interruptedAt(0, then))).isZero();

            assertThat(again).as(where).containsExactly("7", "8", "9");
            assertThat(then).as(where).containsExactlyElementsOf(where.isEmpty() ? again : List.of("9"));
        }
    }

    @Test
    void aRunDuringWhichFilesChangedIsRunAgain() throws IOException {
        project("");
        List<String> first = new ArrayList<>();
        List<String> second = new ArrayList<>();
        Measurement.Runner runner = interruptedAt(3, first);
        AtomicReference<String> where = new AtomicReference<>(HERE.get());

        assertThat(measured(where::get, command -> {
            int exit = runner.run(command);
            where.set(first.size() == 2 ? "" : HERE.get());
            return exit;
        })).isOne();
        assertThat(measured(HERE, interruptedAt(0, second))).isZero();

        assertThat(first).containsExactly("7", "8", "9");
        assertThat(second).containsExactly("8", "9");
    }

    @Test
    void seedsThatGaveOtherRowsAreRefused() throws IOException {
        project("");
        List<String> asked = new ArrayList<>();

        assertThat(failing(command -> {
            asked.add("");
            Files.writeString(command.redirectOutput().file().toPath(), "\n" + new ResultTable("", "F1")
                    .row("method " + asked.size(), "0.9").toString(2000));
            return 0;
        }, "--part", "spam", "--seeds", "2")).contains("spam could not be measured: Seeds gave other rows of Spam", "method 1",
                "method 2");
        assertThat(project.resolve("docs/figures/spam.md")).doesNotExist();
    }

    @Test
    void seedsOfPartsThatHaveNoneAreRefused() {
        for (String[] args : new String[][] {{"--part", "spam,disk", "--seeds", "3"}, {"--part", "all", "--seeds", "2"},
                {"--part", "spam", "--seeds", "0"}}) {
            StringWriter out = new StringWriter();
            assertThat(line().setOut(new PrintWriter(out)).setErr(new PrintWriter(out)).execute(args))
                    .isEqualTo(CommandLine.ExitCode.USAGE);
            assertThat(out.toString()).contains(args[3].equals("0") ? "--seeds is 0, but must be at least 1"
                    : "disk").contains(args[3].equals("0") ? "" : "[spam, retrieval, bert-spam, bert-adapt]");
        }
    }

    @Test
    void whatSaysHowToMeasureIsRefusedWhereNothingIsMeasured() {
        for (String[] args : new String[][] {{"--seeds", "3", "--write-pages"}, {"--rounds", "5", "--write-pages"},
                {"--seeds", "3"}, {"--rounds", "5", "--list", "--part", "disk"}}) {
            StringWriter out = new StringWriter();
            assertThat(line().setOut(new PrintWriter(out)).setErr(new PrintWriter(out)).execute(args)).as(String.join(" ", args))
                    .isEqualTo(CommandLine.ExitCode.USAGE);
            assertThat(out.toString()).contains(args[0] + " says how parts are measured, but none is. ");
        }
    }
}
