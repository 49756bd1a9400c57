package io.github.dl4jlora;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.InstanceofCheck;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaMethod;
import com.tngtech.archunit.core.domain.JavaModifier;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import com.tngtech.archunit.library.GeneralCodingRules;
import io.github.dl4jlora.internal.adapted.AdaptedConfiguration;
import io.github.dl4jlora.internal.blas.FastExp;
import io.github.dl4jlora.internal.blas.HostMemory;
import io.github.dl4jlora.internal.blas.RowLoops;
import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.inspect.AdapterState;
import io.github.dl4jlora.internal.kernel.DenseArithmetic;
import io.github.dl4jlora.internal.kernel.PackedSlopes;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.onednn.Rows;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.stock.SameDiffGradients;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BiConsumer;
import java.util.function.BiPredicate;
import java.util.function.Function;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

/** Who knows whom in this house, by bytecode; docs/design.md has the picture. What is read of it is large, and read once. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class ArchitectureTest {

    private static final String HOME = "io.github.dl4jlora";
    private static final String INTERNAL = HOME + ".internal";
    /** ArchUnit's words for a dependency that is an annotation or a value of one. */
    private static final Pattern BY_ANNOTATION = Pattern.compile(" is annotated with <| has annotation member of type <");

    private final JavaClasses library =
            new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests()).importPackages(HOME);
    /** Who knows whom, package by package. */
    private final Map<String, Set<String>> packages = dependencies(JavaClass::getPackageName);
    /** Lines by path, of every module: whatever lies in a folder "src", but what the tests' resources hold. */
    private final Map<Path, List<String>> sources = sources();

    private static JavaClass outermost(JavaClass type) {
        JavaClass outer = type;
        while (outer.getEnclosingClass().isPresent()) {
            outer = outer.getEnclosingClass().get();
        }
        return outer;
    }

    /**
     * By bytecode: what each class of the library depends on; a nested class counts as its outermost. What an annotation names is
     * for others to read.
     */
    private Map<String, Set<String>> dependencies(Function<JavaClass, String> node) {
        Map<String, Set<String>> graph = new TreeMap<>();
        for (JavaClass type : library) {
            Set<String> known = graph.computeIfAbsent(node.apply(outermost(type)), from -> new TreeSet<>());
            type.getDirectDependenciesFromSelf().stream()
                    .filter(dependency -> !BY_ANNOTATION.matcher(dependency.getDescription()).find())
                    .map(dependency -> dependency.getTargetClass().getBaseComponentType())
                    .filter(target -> target.getPackageName().startsWith(HOME)).map(ArchitectureTest::outermost).map(node)
                    .forEach(known::add);
        }
        return graph;
    }

    @Test
    void noPackageIsInACycle() {
        assertThat(packages).hasSizeGreaterThan(20);
        assertThat(Knots.of(packages)).isEmpty();
    }

    /** Line by line from top to bottom: packages know packages of lines below theirs. */
    @Test
    void thePictureOfTheHouseIsTrue() throws IOException {
        String design = Files.readString(Path.of("../docs/design.md"));
        String picture = design.substring(design.indexOf("```", design.indexOf("## The house")) + 4);
        List<List<String>> lines = picture.substring(0, picture.indexOf("```")).lines()
                .map(line -> Stream.of(line.substring(0, line.indexOf('|')).strip().split(" +"))
                        .map(name -> name.equals(HOME) ? HOME : HOME + "." + name).toList()).toList();

        assertThat(lines.stream().flatMap(List::stream)).containsExactlyInAnyOrderElementsOf(packages.keySet());
        for (int line = 0; line < lines.size(); line++) {
            List<String> below = lines.subList(line + 1, lines.size()).stream().flatMap(List::stream).toList();
            assertThat(lines.get(line)).allSatisfy(name -> assertThat(packages.get(name).stream()
                    .filter(other -> !other.equals(name))).isSubsetOf(below));
        }
    }

    /** A builder with its product, a sealed type with its kinds. */
    @Test
    void noMoreThanFourClassesAreInACycle() {
        assertThat(Knots.of(dependencies(JavaClass::getName))).allSatisfy(knot -> assertThat(knot).hasSizeLessThanOrEqualTo(4));
    }

    @Test
    void aCycleIsFound() {
        Map<String, Set<String>> graph = Map.of("a", Set.of("b"), "b", Set.of("c", "d"), "c", Set.of("a"), "d", Set.of("e"),
                "e", Set.of("d"), "f", Set.of("a", "g"));

        assertThat(Knots.of(graph)).containsExactlyInAnyOrder(Set.of("a", "b", "c"), Set.of("d", "e"));
    }

    @Test
    void noPackageHasMoreThan20Files() {
        assertThat(folders().values()).isNotEmpty().allSatisfy(files -> assertThat(files).hasSizeLessThanOrEqualTo(20));
    }

    @Test
    void everyPackageHasAPictureThatNamesItsClasses() {
        assertThat(folders()).allSatisfy((folder, files) -> assertThat(names(picture(folder))).containsAll(files.stream()
                .map(file -> file.getFileName().toString().replace(".java", "")).toList()));
    }

    /** What looks like a class in a picture is one of the library's, or DL4J's and Java's where a test names it. */
    @Test
    void noPictureNamesAClassThatIsNotThere() {
        Set<String> there = library.stream().map(JavaClass::getSimpleName).collect(Collectors.toSet());
        there.addAll(Set.of("PyTorch", "SameDiff", "ModelSerializer", "OpenBLAS", "OpenMP", "JavaCPP", "NaN"));

        assertThat(folders().keySet()).allSatisfy(folder -> assertThat(names(picture(folder)))
                .filteredOn(word -> word.matches("[A-Z]+[a-z]+\\w*[A-Z]\\w*")).isSubsetOf(there));
    }

    @Test
    void noPackageSpeaksOfAPackageThatIsNotThere() {
        assertThat(folders().keySet()).allSatisfy(folder -> assertThat(Pattern.compile("internal\\.[a-z]+")
                .matcher(documentation(folder)).results().map(found -> HOME + "." + found.group()))
                .isSubsetOf(packages.keySet()));
    }

    /** What is between &lt;pre&gt; and &lt;/pre&gt;. That of a public package is a comment: it names classes without a page. */
    private static String picture(Path folder) {
        return Pattern.compile("<pre>.*?</pre>|/\\*\n.*?\\*/", Pattern.DOTALL).matcher(documentation(folder)).results()
                .map(MatchResult::group).collect(Collectors.joining());
    }

    private static String documentation(Path folder) {
        try {
            return Files.readString(Path.of("..").resolve(folder).resolve("package-info.java"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Set<String> names(String picture) {
        return Pattern.compile("\\b[A-Za-z]\\w*").matcher(picture).results().map(MatchResult::group)
                .collect(Collectors.toCollection(TreeSet::new));
    }

    /** By folder the files of the library's packages, but for package-info. */
    private Map<Path, List<Path>> folders() {
        return sources.keySet().stream().filter(file -> file.startsWith("dl4j-lora-layer/src/main")
                && !file.endsWith("package-info.java")).collect(Collectors.groupingBy(Path::getParent));
    }

    /** JSpecify's annotations are for compilers: nobody needs them to run. */
    @Test
    void theLibraryNeedsNothingButDl4jAndWhatItBrings() {
        classes().should().onlyDependOnClassesThat().resideInAnyPackage(HOME + "..", "java..", "", "org.deeplearning4j..",
                "org.nd4j..", "org.slf4j..", "org.bytedeco.javacpp..", "org.apache.commons..", "org.bytedeco.openblas..",
                "org.bytedeco.dnnl..", "com.sun.jna..", "com.sun.management..", "org.jspecify.annotations..")
                .check(library);
    }

    /** It comes with ND4J's backend for the CPU, and is not there with others. */
    @Test
    void onlyWhatIsBehindBlasCallsThatOfTheCpu() {
        noClasses().that(DescribedPredicate.describe("are not behind Blas",
                        (JavaClass type) -> !Set.of("DirectBlas", "FewRows", "FewColumns", "Lie").contains(type.getSimpleName())))
                .should().dependOnClassesThat().resideInAPackage("org.bytedeco.openblas..").check(library);
    }

    /** Its jars are there for some; without them a class that names theirs may fail to load. */
    @Test
    void onlyOnePackageCallsOneDnn() {
        noClasses().that().resideOutsideOfPackage(INTERNAL + ".onednn").should().dependOnClassesThat()
                .resideInAPackage("org.bytedeco.dnnl..").check(library);
        noClasses().that().arePublic().should().dependOnClassesThat().resideInAPackage("org.bytedeco.dnnl..").check(library);
    }

    /** It comes with ND4J through OSHI, is left out by some, and has no code for some platforms. */
    @Test
    void oneClassCallsByJna() {
        noClasses().that().doNotHaveSimpleName("CLibrary").should().dependOnClassesThat().resideInAPackage("com.sun.jna..")
                .check(library);
    }

    /** SameDiffGradients keeps DL4J's own lines off the standard output, StepProbe is the main class of another JVM. */
    @Test
    void nobodyPrints() {
        noClasses().that(DescribedPredicate.describe("may not touch the standard streams",
                        (JavaClass type) -> !outermost(type).isEquivalentTo(SameDiffGradients.class)
                                && !type.getSimpleName().equals("StepProbe")))
                .should(GeneralCodingRules.ACCESS_STANDARD_STREAMS).check(library);
    }

    /** Parts, start, merge, scopes: what is adapted answers for itself. */
    @Test
    void nobodyAsksWhichKindOfAdaptedLayerItIs() {
        classes().that().doNotHaveSimpleName("AdaptedLayers").and().doNotHaveSimpleName("Unadaptation")
                .should(condition("not ask", (JavaClass asking, ConditionEvents events) -> {
            for (InstanceofCheck check : asking.getInstanceofChecks()) {
                JavaClass kind = check.getRawType();
                boolean adapted = kind.isAssignableTo(AdaptedRuntime.class) || kind.isAssignableTo(AdaptedConfiguration.class);
                events.add(new SimpleConditionEvent(asking,
                        !adapted || kind.isInterface() || outermost(asking).equals(outermost(kind)),
                        asking.getName() + " asks for " + kind.getName() + " in line " + check.getLineNumber()));
            }
        })).check(library);
    }

    /** The configurations in layer and frozen hold what DL4J writes to JSON, references to frozen weights among it. */
    @Test
    void whatAUserCallsSpeaksOfNothingInternal() {
        methods().that().arePublic()
                .and().areDeclaredInClassesThat().resideInAnyPackage(HOME, HOME + ".adapter", HOME + ".bank", HOME + ".conf",
                        HOME + ".exception", HOME + ".footprint", HOME + ".machine", HOME + ".report", HOME + ".tune",
                        HOME + ".variant")
                .and().areDeclaredInClassesThat().haveModifier(JavaModifier.PUBLIC)
                .should(condition("neither take nor give what is internal", (JavaMethod method, ConditionEvents events) -> {
                    boolean inside = method.getRawReturnType().getPackageName().startsWith(INTERNAL)
                            || method.getRawParameterTypes().stream().anyMatch(p -> p.getPackageName().startsWith(INTERNAL));
                    events.add(new SimpleConditionEvent(method, !inside, method.getFullName()));
                })).check(library);
    }

    /**
     * Fifteen of the library's helpers are of use to what is built beside it; whoever copies these examples copies them too.
     * The exporter to ONNX goes through adapted networks layer by layer, as merging does, and so knows what merging knows.
     */
    @Test
    void examplesAndBenchmarksUseThePublicApi() {
        Set<String> known = Set.of(AtomicFile.class.getName(), Few.class.getName(), FileIdentity.class.getName(),
                Temporary.class.getName(), FastExp.class.getName(), RowLoops.class.getName(), Rows.class.getName(),
                PackedSlopes.class.getName(), PassingOutput.class.getName(), RawValues.class.getName(),
                Safetensors.class.getName(), UntrustedJson.class.getName(), AdapterState.class.getName(),
                DenseArithmetic.class.getName(), HostMemory.class.getName());

        assertThat(lines((file, line) -> !file.startsWith("dl4j-lora-layer") && !file.startsWith("examples/onnx")
                && line.contains(INTERNAL)
                && known.stream().noneMatch(line::contains))).isEmpty();
    }

    @Test
    void noLineIsLongerThan130Columns() {
        assertThat(lines((file, line) -> line.codePointCount(0, line.length()) > 130)).isEmpty();
    }

    private List<String> lines(BiPredicate<Path, String> wanted) {
        List<String> found = new ArrayList<>();
        sources.forEach((file, lines) -> lines.stream().filter(line -> wanted.test(file, line))
                .forEach(line -> found.add(file + ": " + line)));
        return found;
    }

    private static Map<Path, List<String>> sources() {
        Map<Path, List<String>> sources = new TreeMap<>();
        Path project = Path.of("..");
        try (Stream<Path> files = Files.find(project, 30, (path, is) -> path.toString().endsWith(".java"))) {
            for (Path file : files.map(project::relativize).filter(ArchitectureTest::isSource).toList()) {
                sources.put(file, Files.readAllLines(project.resolve(file)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return sources;
    }

    private static boolean isSource(Path file) {
        List<String> folders = StreamSupport.stream(file.spliterator(), false).map(Path::toString).toList();
        return folders.contains("src") && !folders.contains("resources") && !folders.contains("target");
    }

    private static <T> ArchCondition<T> condition(String description, BiConsumer<T, ConditionEvents> check) {
        return new ArchCondition<>(description) {
            @Override
            public void check(T item, ConditionEvents events) {
                check.accept(item, events);
            }
        };
    }
}
