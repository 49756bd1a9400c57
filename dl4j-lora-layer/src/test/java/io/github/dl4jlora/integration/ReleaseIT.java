package io.github.dl4jlora.integration;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;
import org.w3c.dom.NodeList;

import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.xpath.XPath;
import javax.xml.xpath.XPathConstants;
import javax.xml.xpath.XPathExpressionException;
import javax.xml.xpath.XPathFactory;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDateTime;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

/**
 * What the profile "release" packed, against the rules of Maven Central
 * (https://central.sonatype.org/publish/requirements/) and those of CONTRIBUTING.md. Signatures are not looked at.
 */
class ReleaseIT {

    private static final String NAME = "dl4j-lora-layer";
    private static final String VERSION = System.getProperty("project.version");
    private static final Path TARGET = Path.of("target");
    private static final String INTERNAL = "io/github/dl4jlora/internal/";
    /** Of Java 17. */
    private static final int CLASS_FILES = 61;
    private static final XPath XPATH = XPathFactory.newInstance().newXPath();

    @ParameterizedTest
    @ValueSource(strings = {"modelVersion", "groupId", "artifactId", "version", "name", "description", "url",
            "licenses/license/name", "licenses/license/url", "developers/developer/name", "scm/connection",
            "scm/developerConnection", "scm/url"})
    void thePublishedPomSaysWhatMavenCentralAsksFor(String element) throws Exception {
        assertThat(text(published(), "/project/" + element)).isNotBlank().doesNotContain("${");
    }

    @Test
    void thePublishedPomIsThatOfThisVersion() throws Exception {
        assertThat(text(published(), "/project/artifactId")).isEqualTo(NAME);
        assertThat(text(published(), "/project/version")).isEqualTo(VERSION);
        assertThat(VERSION).matches("\\d+\\.\\d+\\.\\d+(-SNAPSHOT)?");
    }

    /** Central has the library alone, and nothing but Central may be needed. */
    @Test
    void thePublishedPomNeedsNeitherAParentNorAnotherRepository() throws Exception {
        for (String element : List.of("parent", "repositories", "pluginRepositories", "distributionManagement", "modules",
                "dependencyManagement", "properties", "build", "profiles")) {
            assertThat(elements(published(), "/project/" + element)).as(element).isEmpty();
        }
        for (Path pom : List.of(Path.of("pom.xml"), Path.of("..", "pom.xml"))) {
            assertThat(elements(parsed(pom), "//repositories | //pluginRepositories")).as(pom.toString()).isEmpty();
        }
    }

    @Test
    void eachDependencyHasOneVersionThatIsReleased() throws Exception {
        List<Element> dependencies = elements(published(), "/project/dependencies/dependency");

        assertThat(dependencies).isNotEmpty().allSatisfy(dependency -> {
            assertThat(text(dependency, "version")).as(text(dependency, "artifactId")).matches("\\d[\\w.-]*")
                    .doesNotContain("SNAPSHOT");
            assertThat(text(dependency, "scope")).as(text(dependency, "artifactId")).isIn("compile", "provided");
        });
        assertThat(dependencies.stream().filter(dependency -> text(dependency, "scope").equals("compile"))
                .map(dependency -> text(dependency, "artifactId"))).containsExactly("deeplearning4j-nn");
    }

    /** A local Maven repository notes by ">" from which repository a file came, and nothing if it was installed. */
    @Test
    void noDependencyWasInstalledByHand() throws IOException {
        int noted = 0;
        for (String entry : System.getProperty("surefire.test.class.path", "").split(System.getProperty("path.separator"))) {
            Path jar = Path.of(entry);
            Path notes = jar.resolveSibling("_remote.repositories");
            if (entry.endsWith(".jar") && Files.exists(notes)) {
                noted++;
                assertThat(Files.readString(notes)).containsPattern("(?m)^\\Q" + jar.getFileName() + "\\E>\\S+=");
            }
        }
        assertThat(noted).isGreaterThan(0);
    }

    @Test
    void sourcesAndDocumentationAreThoseOfTheClasses() throws IOException {
        try (JarFile classes = jar(""); JarFile sources = jar("-sources"); JarFile pages = jar("-javadoc")) {
            List<String> types = names(classes).filter(name -> name.matches("[^$]+\\.class"))
                    .map(name -> name.replace(".class", ".java")).toList();

            assertThat(types).hasSizeGreaterThan(100);
            assertThat(names(sources)).as("sources").containsAll(types);
            assertThat(names(pages)).contains("index.html", "io/github/dl4jlora/LoRA.html")
                    .noneMatch(name -> name.startsWith(INTERNAL));
        }
    }

    @Test
    void eachJarHasTheLicenceAndTheNotice() throws IOException {
        for (String kind : List.of("", "-sources", "-javadoc")) {
            try (JarFile jar = jar(kind)) {
                for (String file : List.of("LICENSE", "NOTICE")) {
                    assertThat(new String(jar.getInputStream(jar.getEntry("META-INF/" + file)).readAllBytes())).as(file + kind)
                            .isEqualTo(Files.readString(Path.of("..", file)));
                }
            }
        }
    }

    @Test
    void theClassesAreForJava17AndTellTheVersion() throws IOException {
        try (JarFile jar = jar("")) {
            assertThat(jar.getManifest().getMainAttributes().getValue("Implementation-Version")).isEqualTo(VERSION);
            assertThat(jar.getManifest().getMainAttributes().getValue("Automatic-Module-Name")).isEqualTo("io.github.dl4jlora");
            for (String name : names(jar).filter(entry -> entry.endsWith(".class")).toList()) {
                try (DataInputStream in = new DataInputStream(jar.getInputStream(jar.getEntry(name)))) {
                    in.skipBytes(Integer.BYTES + Short.BYTES);
                    assertThat(in.readUnsignedShort()).as(name).isEqualTo(CLASS_FILES);
                }
            }
        }
    }

    /** Else two builds would differ. */
    @Test
    void everythingInAJarHasTheTimeOfTheRelease() throws IOException {
        LocalDateTime time = LocalDateTime.ofInstant(Instant.parse(System.getProperty("project.build.outputTimestamp")),
                ZoneOffset.UTC);
        for (String kind : List.of("", "-sources", "-javadoc")) {
            try (JarFile jar = jar(kind)) {
                assertThat(jar.stream().map(ZipEntry::getTimeLocal)).as(kind).isNotEmpty().containsOnly(time);
            }
        }
    }

    @Test
    void theSbomListsWhatUsersGetAndNothingElse() throws Exception {
        assumeFalse(System.getProperty("maven.mode").equals("offline: true"), "the SBOM's plugin works online alone");
        JsonNode sbom = new ObjectMapper().readTree(file("-cyclonedx.json").toFile());
        List<String> listed = new ArrayList<>();
        for (JsonNode part : sbom.get("components")) {
            listed.add(part.get("name").asText());
            assertThat(part.get("version").asText()).as(part.toString()).matches("\\d\\S*").doesNotContain("SNAPSHOT");
            assertThat(part.get("purl").asText()).startsWith("pkg:maven/" + part.get("group").asText());
            assertThat(part.get("licenses")).as(part.get("name").asText()).isNotEmpty();
        }

        String page = Files.readString(Path.of("..", "docs", "vulnerabilities.md"));
        assertThat(listed).as("named in docs/vulnerabilities.md").allSatisfy(part -> assertThat(page).contains("`" + part + "`"));
        assertThat(sbom.at("/metadata/component/purl").asText()).contains("io.github.dl4jlora/" + NAME + "@" + VERSION);
        assertThat(listed).contains("deeplearning4j-nn", "nd4j-api", "jackson", "protobuf", "guava", "commons-io", "gson")
                .doesNotContain("junit-jupiter", "logback-classic", "jspecify", "deeplearning4j-modelimport", "openblas", "dnnl");
        assertThat(sbom.at("/metadata/timestamp").isMissingNode()).as("a time, by which two builds differ").isTrue();
    }

    private static Path file(String ending) {
        Path file = TARGET.resolve(NAME + "-" + VERSION + ending);
        assertThat(file).isNotEmptyFile();
        return file;
    }

    private static JarFile jar(String kind) throws IOException {
        return new JarFile(file(kind + ".jar").toFile());
    }

    private static Stream<String> names(JarFile jar) {
        return jar.stream().map(ZipEntry::getName);
    }

    private static Document published() throws Exception {
        return parsed(TARGET.resolve("published.pom"));
    }

    private static Document parsed(Path pom) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile());
    }

    private static String text(Node node, String path) {
        try {
            return XPATH.evaluate(path, node);
        } catch (XPathExpressionException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private static List<Element> elements(Node node, String path) throws XPathExpressionException {
        NodeList found = (NodeList) XPATH.evaluate(path, node, XPathConstants.NODESET);
        return IntStream.range(0, found.getLength()).mapToObj(index -> (Element) found.item(index)).toList();
    }
}
