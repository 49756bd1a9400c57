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
import com.tngtech.archunit.library.Architectures;
import com.tngtech.archunit.library.GeneralCodingRules;
import io.github.dl4jlora.adapter.AdapterFormatException;
import io.github.dl4jlora.frozen.BaseOpener;
import io.github.dl4jlora.frozen.FrozenWeightsMissingException;
import io.github.dl4jlora.internal.common.FileIdentity;
import io.github.dl4jlora.internal.common.Temporary;
import io.github.dl4jlora.internal.file.AtomicFile;
import io.github.dl4jlora.internal.kernel.PackedSlopes;
import io.github.dl4jlora.internal.kernel.PassingOutput;
import io.github.dl4jlora.internal.run.AdaptedConfiguration;
import io.github.dl4jlora.internal.run.AdaptedRuntime;
import io.github.dl4jlora.internal.stock.SameDiffGradients;
import io.github.dl4jlora.internal.untrusted.Few;
import io.github.dl4jlora.internal.untrusted.RawValues;
import io.github.dl4jlora.internal.untrusted.Safetensors;
import io.github.dl4jlora.internal.untrusted.UntrustedJson;
import io.github.dl4jlora.layer.Engine;
import org.junit.jupiter.api.Test;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.function.BiPredicate;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.methods;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static org.assertj.core.api.Assertions.assertThat;

/** The arrows between the rooms of this house; docs/design.md has the picture. */
class ArchitectureTest {

    private static final String HOME = "io.github.dl4jlora";
    private static final String INTERNAL = HOME + ".internal";
    private static final JavaClasses LIBRARY =
            new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests()).importPackages(HOME);

    private static final Predicate<String> ALL = name -> true;
    private static final Predicate<String> DOOR =
            Set.of("LoRA", "LoRAStarts", "LoRAFiles", "LoRAMerge", "BaseSource", "LearningRateSweep", "Threads", "Doctor",
            "Diagnosis", "StepProbe")::contains;
    private static final Predicate<String> ASKED = Set.of("LoRAConfig", "LoRASummary", "LoRAMergeReport", "LoRAPlan",
            "LearningRates", "Selection", "Training", "Standing", "FromData")::contains;
    private static final Predicate<String> ENGINE = Engine.class.getSimpleName()::equals;
    private static final Predicate<String> SCHEMES = Quantization.class.getSimpleName()::equals;
    private static final Predicate<String> REFUSAL = AdapterFormatException.class.getSimpleName()::equals;
    private static final Predicate<String> OF_BASES =
            Set.of(BaseOpener.class.getSimpleName(), FrozenWeightsMissingException.class.getSimpleName())::contains;

    /** From top to bottom: a room knows rooms below it, and none above. */
    private static Map<String, DescribedPredicate<JavaClass>> rooms() {
        Map<String, DescribedPredicate<JavaClass>> rooms = new LinkedHashMap<>();
        rooms.put("the door", room("", DOOR));
        rooms.put("bank", room(".bank", ALL));
        rooms.put("adapter", room(".adapter", REFUSAL.negate()));
        rooms.put("internal.swap", room(".internal.swap", ALL));
        rooms.put("internal.peft", room(".internal.peft", ALL));
        rooms.put("internal.rewrite", room(".internal.rewrite", ALL));
        rooms.put("what is asked and told", room("", ASKED));
        rooms.put("internal.file", room(".internal.file", ALL));
        rooms.put("internal.cost", room(".internal.cost", ALL));
        rooms.put("layer", room(".layer", ENGINE.negate()));
        rooms.put("frozen", room(".frozen", OF_BASES.negate()));
        rooms.put("internal.run", room(".internal.run", ALL));
        rooms.put("internal.frozen", room(".internal.frozen", ALL));
        rooms.put("internal.stock", room(".internal.stock", ALL));
        rooms.put("internal.start", room(".internal.start", ALL));
        rooms.put("vocabulary", room("", DOOR.or(ASKED).or(SCHEMES).negate()).or(room(".layer", ENGINE)));
        rooms.put("variant", room(".variant", ALL));
        rooms.put("internal.kernel", room(".internal.kernel", ALL));
        rooms.put("internal.processor", room(".internal.processor", ALL));
        rooms.put("internal.base", room(".internal.base", ALL));
        rooms.put("internal.processor", room(".internal.processor", ALL));
        rooms.put("where bases come from", room(".frozen", OF_BASES));
        rooms.put("internal.quantized", room(".internal.quantized", ALL).or(room("", SCHEMES)));
        rooms.put("internal.keras", room(".internal.keras", ALL));
        rooms.put("internal.untrusted", room(".internal.untrusted", ALL).or(room(".adapter", REFUSAL)));
        rooms.put("internal.common", room(".internal.common", ALL));
        return rooms;
    }

    /** The classes of a package whose outermost class bears such a name. */
    private static DescribedPredicate<JavaClass> room(String below, Predicate<String> name) {
        return DescribedPredicate.describe("of " + HOME + below,
                type -> type.getPackageName().equals(HOME + below) && name.test(outermost(type).getSimpleName()));
    }

    private static JavaClass outermost(JavaClass type) {
        JavaClass outer = type;
        while (outer.getEnclosingClass().isPresent()) {
            outer = outer.getEnclosingClass().get();
        }
        return outer;
    }

    @Test
    void everyClassIsInOneRoom() {
        classes().should(condition("be in one room", (JavaClass type, ConditionEvents events) -> {
            long rooms = rooms().values().stream().filter(room -> room.test(type)).count();
            events.add(new SimpleConditionEvent(type, rooms == 1, type.getName() + " is in " + rooms + " rooms"));
        })).check(LIBRARY);
    }

    @Test
    void roomsKnowOnlyRoomsBelowThem() {
        Architectures.LayeredArchitecture house = Architectures.layeredArchitecture().consideringOnlyDependenciesInLayers();
        for (Map.Entry<String, DescribedPredicate<JavaClass>> room : rooms().entrySet()) {
            house = house.layer(room.getKey()).definedBy(room.getValue());
        }
        String[] names = rooms().keySet().toArray(String[]::new);
        house = house.whereLayer(names[0]).mayNotBeAccessedByAnyLayer();
        for (int i = 1; i < names.length; i++) {
            house = house.whereLayer(names[i]).mayOnlyBeAccessedByLayers(Arrays.copyOf(names, i));
        }
        house.check(LIBRARY);
    }

    @Test
    void theLibraryNeedsNothingButDl4jAndWhatItBrings() {
        classes().should().onlyDependOnClassesThat().resideInAnyPackage(HOME + "..", "java..", "", "org.deeplearning4j..",
                "org.nd4j..", "org.slf4j..", "org.bytedeco.javacpp..", "org.apache.commons..", "org.bytedeco.openblas..",
                "com.sun.jna..", "com.sun.management..")
                .check(LIBRARY);
    }

    /** It comes with ND4J's backend for the CPU, and is not there with others. */
    @Test
    void onlyWhatIsBehindBlasCallsThatOfTheCpu() {
        noClasses().that(DescribedPredicate.describe("are not behind Blas", (JavaClass type) -> !Set.of("DirectBlas", "FewRows")
                .contains(type.getSimpleName()))).should().dependOnClassesThat().resideInAPackage("org.bytedeco.openblas..")
                .check(LIBRARY);
    }

    /** It comes with ND4J through OSHI, is left out by some, and has no code for some platforms. */
    @Test
    void oneClassCallsByJna() {
        noClasses().that().doNotHaveSimpleName("CLibrary").should().dependOnClassesThat().resideInAPackage("com.sun.jna..")
                .check(LIBRARY);
    }

    /** SameDiffGradients keeps DL4J's own lines off the standard output, StepProbe is the main class of another JVM. */
    @Test
    void nobodyPrints() {
        noClasses().that(DescribedPredicate.describe("may not touch the standard streams",
                        (JavaClass type) -> !outermost(type).isEquivalentTo(SameDiffGradients.class)
                                && !type.getSimpleName().equals("StepProbe")))
                .should(GeneralCodingRules.ACCESS_STANDARD_STREAMS).check(LIBRARY);
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
        })).check(LIBRARY);
    }

    /** The configurations in layer and frozen hold what DL4J writes to JSON, references to frozen weights among it. */
    @Test
    void whatAUserCallsSpeaksOfNothingInternal() {
        methods().that().arePublic()
                .and().areDeclaredInClassesThat().resideInAnyPackage(HOME, HOME + ".adapter", HOME + ".bank", HOME + ".variant")
                .and().areDeclaredInClassesThat().haveModifier(JavaModifier.PUBLIC)
                .should(condition("neither take nor give what is internal", (JavaMethod method, ConditionEvents events) -> {
                    boolean inside = method.getRawReturnType().getPackageName().startsWith(INTERNAL)
                            || method.getRawParameterTypes().stream().anyMatch(p -> p.getPackageName().startsWith(INTERNAL));
                    events.add(new SimpleConditionEvent(method, !inside, method.getFullName()));
                })).check(LIBRARY);
    }

    /** Nine of the library's helpers are of use to what is built beside it; whoever copies these examples copies them too. */
    @Test
    void examplesAndBenchmarksUseThePublicApi() throws IOException {
        Set<String> known = Set.of(AtomicFile.class.getName(), Few.class.getName(), FileIdentity.class.getName(),
                Temporary.class.getName(), PackedSlopes.class.getName(), PassingOutput.class.getName(),
                RawValues.class.getName(), Safetensors.class.getName(), UntrustedJson.class.getName());

        assertThat(lines((file, line) -> !file.startsWith("dl4j-lora-layer") && line.contains(INTERNAL)
                && known.stream().noneMatch(line::contains))).isEmpty();
    }

    @Test
    void noLineIsLongerThan130Columns() throws IOException {
        assertThat(lines((file, line) -> line.codePointCount(0, line.length()) > 130)).isEmpty();
    }

    @Test
    void noFileIsLongerThan400Lines() throws IOException {
        Map<Path, List<String>> sources = sources();
        sources.values().removeIf(lines -> lines.size() <= 400);

        assertThat(sources.keySet()).isEmpty();
    }

    @Test
    void everyPackageHasAPictureOfItself() throws IOException {
        Map<Path, List<String>> library = sources();
        library.keySet().removeIf(file -> !file.startsWith("dl4j-lora-layer/src/main"));
        Set<Path> packages = library.keySet().stream().map(Path::getParent).collect(Collectors.toSet());
        library.values().removeIf(lines -> lines.stream().noneMatch(line -> line.contains("<pre>")));

        assertThat(packages).isNotEmpty().allSatisfy(folder -> assertThat(library)
                .containsKey(folder.resolve("package-info.java")));
    }

    private static List<String> lines(BiPredicate<Path, String> wanted) throws IOException {
        List<String> found = new ArrayList<>();
        sources().forEach((file, lines) -> lines.stream().filter(line -> wanted.test(file, line))
                .forEach(line -> found.add(file + ": " + line)));
        return found;
    }

    /** Of the library, its examples and its benchmarks, by path and line. */
    private static Map<Path, List<String>> sources() throws IOException {
        Map<Path, List<String>> sources = new TreeMap<>();
        Path project = Path.of("..");
        for (String folder : List.of("dl4j-lora-layer/src", "examples/transformers/src", "examples/src", "examples/spark/src",
                "examples/serve/src", "benchmarks/src")) {
            try (Stream<Path> files = Files.walk(project.resolve(folder))) {
                for (Path file : files.filter(path -> path.toString().endsWith(".java")).toList()) {
                    sources.put(project.relativize(file), Files.readAllLines(file));
                }
            }
        }
        return sources;
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
