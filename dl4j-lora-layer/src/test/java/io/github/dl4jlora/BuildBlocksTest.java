package io.github.dl4jlora;

import io.github.dl4jlora.pages.CodeBlock;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Element;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;

/** What the pages print for builds of Maven and Gradle names artifacts and versions that the project itself is built with. */
class BuildBlocksTest {

    /** Of a dependency in a POM. */
    private static final Set<String> OF_DEPENDENCY = Set.of("groupId", "artifactId", "version", "scope", "classifier", "type",
            "optional", "exclusions");
    /** Names other versions than the project's, which is its purpose. */
    private static final Predicate<CodeBlock> MANAGED = block -> block.code().startsWith("<dependencyManagement>");
    private static final Pattern IN_GRADLE = Pattern.compile("(?:implementation|runtimeOnly) '([^']+)'");

    private final Poms poms;

    BuildBlocksTest() throws Exception {
        poms = new Poms();
    }

    private static List<CodeBlock> blocks(String language) throws IOException {
        return CodeBlock.all().stream().filter(block -> block.language().equals(language)).toList();
    }

    /** Of a block of dependencies, or of those that a build manages. */
    private static List<Element> dependencies(CodeBlock block) {
        try {
            Element root = Poms.parse("<dependencies>" + block.code() + "</dependencies>").getDocumentElement();
            return (MANAGED.test(block) ? Poms.children(Poms.children(Poms.children(root).findFirst().orElseThrow())
                    .findFirst().orElseThrow()) : Poms.children(root)).toList();
        } catch (Exception e) {
            throw new AssertionError(block.toString(), e);
        }
    }

    /** Lines between the braces of a part of a build script. */
    private static List<String> part(CodeBlock block, String name) {
        return Pattern.compile("^" + name + " \\{\n(.*?)^}$", Pattern.DOTALL | Pattern.MULTILINE).matcher(block.code()).results()
                .flatMap(part -> part.group(1).lines()).map(String::strip).toList();
    }

    private static List<String> inGradle(CodeBlock block) {
        return part(block, "dependencies").stream().map(line -> IN_GRADLE.matcher(line).replaceFirst("$1")).toList();
    }

    @Test
    void theXmlOfThePagesIsOfDependenciesThatThereAre() throws IOException {
        List<String> known = poms.coordinates();

        assertThat(blocks("xml")).hasSizeGreaterThan(3).allSatisfy(block ->
                assertThat(dependencies(block)).as(block.toString()).isNotEmpty().allSatisfy(dependency -> {
                    assertThat(dependency.getTagName()).isEqualTo("dependency");
                    assertThat(Poms.children(dependency).map(Element::getTagName)).isSubsetOf(OF_DEPENDENCY)
                            .contains("groupId", "artifactId", "version").doesNotHaveDuplicates();
                    if (!MANAGED.test(block)) {
                        assertThat(known).contains(poms.coordinates(dependency));
                    }
                }));
    }

    /** What {@code exec:exec@project} writes; its profiles are for some of the programs to copy. */
    @Test
    void aNewProjectDependsOnWhatTheGuideSays() throws Exception {
        String template = Files.readString(CodeBlock.TOP.resolve(
                "examples/src/main/resources/io/github/dl4jlora/examples/project/pom.xml"));
        Element project = Poms.parse(template.replace("${dl4j-lora.version}", poms.property("project.version")))
                .getDocumentElement();
        List<Element> profiles = children(project, "profiles").flatMap(Poms::children)
                .flatMap(profile -> children(profile, "dependencies")).toList();

        assertThat(children(project, "dependencies").flatMap(Poms::children).map(poms::coordinates))
                .containsExactlyInAnyOrderElementsOf(blocks("xml").stream().filter(block -> block.page().endsWith("adapt.md"))
                        .flatMap(block -> dependencies(block).stream()).map(poms::coordinates).toList());
        assertThat(profiles).hasSizeGreaterThan(3).flatExtracting(more -> Poms.children(more).map(poms::coordinates).toList())
                .isSubsetOf(poms.coordinates());
        assertThat(template).contains("<dl4j.version>" + poms.property("dl4j.version") + "<");
    }

    private static Stream<Element> children(Element element, String name) {
        return Poms.children(element).filter(child -> child.getTagName().equals(name));
    }

    /** The local repository has POMs of others without all of their jars, and Gradle looks no further than to a POM. */
    @Test
    void gradleTakesThisLibraryAloneFromTheLocalRepository() throws IOException {
        assertThat(blocks("groovy")).isNotEmpty().allSatisfy(block -> assertThat(part(block, "repositories")).containsExactly(
                "mavenLocal { content { includeGroup('" + Poms.GROUP + "') } }", "mavenCentral()"));
    }

    @Test
    void gradleDependsOnWhatMavenDependsOn() throws IOException {
        Map<String, Set<String>> byPage = blocks("xml").stream().filter(MANAGED.negate())
                .collect(Collectors.groupingBy(CodeBlock::page, Collectors.flatMapping(
                        block -> dependencies(block).stream().map(poms::coordinates), Collectors.toSet())));

        assertThat(blocks("groovy")).isNotEmpty().allSatisfy(block ->
                assertThat(inGradle(block)).containsExactlyInAnyOrderElementsOf(byPage.get(block.page())));
        assertThat(blocks("groovy")).allSatisfy(block -> assertThat(Stream.concat(part(block, "repositories").stream(),
                part(block, "dependencies").stream()).count()).as("all of %s is looked at", block)
                .isEqualTo(block.code().lines().count() - 4));
    }
}
