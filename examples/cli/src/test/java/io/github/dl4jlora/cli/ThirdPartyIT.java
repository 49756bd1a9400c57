package io.github.dl4jlora.cli;

import org.junit.jupiter.api.Test;
import org.nd4j.shade.jackson.databind.JsonNode;
import org.nd4j.shade.jackson.databind.ObjectMapper;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.zip.ZipEntry;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

/** What target/dl4j-lora.jar, and each of this project's jars, says of licences. */
class ThirdPartyIT {

    private static final Pattern PART = Pattern.compile("(\\S+) +(\\d\\S*) {2,}\\S.*");
    private static final Pattern TEXT = Pattern.compile("[\\w.-]+\\.txt");
    private static final String LICENSE = "META-INF/LICENSE";
    private static final String NOTICE = "META-INF/NOTICE";
    private static final String LIST = "META-INF/THIRD-PARTY.txt";

    @Test
    void theListNamesEachPartOfTheJarByVersionAndNothingElse() throws IOException {
        try (JarFile all = new JarFile(Path.of("target", "dl4j-lora.jar").toFile())) {
            TreeMap<String, String> listed = listed(all);
            TreeMap<String, String> held = new TreeMap<>();
            for (Path jar : parts()) {
                if (isIn(jar, all)) {
                    held.put(jar.getParent().getParent().getFileName().toString(), jar.getParent().getFileName().toString());
                }
            }

            assertThat(held).containsKeys("openblas", "nd4j-native", "logback-core");
            assertThat(listed).as(LIST).isEqualTo(held);
        }
    }

    /** Which the profile "release" makes. */
    @Test
    void theSbomListsTheSameParts() throws IOException {
        assumeThat(System.getProperty("maven.mode")).as("the SBOM is made by -Prelease, online").isEqualTo("offline: false");
        TreeMap<String, String> held = new TreeMap<>();
        JsonNode bom = new ObjectMapper().readTree(Path.of("target", "dl4j-lora-cyclonedx.json").toFile());
        for (JsonNode part : bom.get("components")) {
            if (!part.get("group").asText().equals("io.github.dl4jlora")) {
                held.put(part.get("name").asText(), part.get("version").asText());
            }
        }

        try (JarFile all = new JarFile(Path.of("target", "dl4j-lora.jar").toFile())) {
            assertThat(held).isEqualTo(listed(all));
        }
    }

    @Test
    void eachLicenceThatIsNamedIsThere() throws IOException {
        try (JarFile all = new JarFile(Path.of("target", "dl4j-lora.jar").toFile())) {
            Set<String> named = new TreeSet<>();
            TEXT.matcher(text(all, LIST)).results().forEach(name -> named.add(name.group()));
            named.remove("LICENSE.txt");

            assertThat(all.stream().map(ZipEntry::getName).filter(name -> name.matches("META-INF/licenses/.+"))
                    .map(name -> name.substring(name.lastIndexOf('/') + 1))).containsExactlyInAnyOrderElementsOf(named);
            assertThat(text(all, "META-INF/licenses/GPL-3.0.txt")).contains("GNU GENERAL PUBLIC LICENSE");
            assertThat(text(all, "META-INF/licenses/OpenBLAS.txt")).contains("OpenBLAS", "LAPACK");
            assertThat(text(all, "META-INF/LICENSE.txt")).as("what parts bring along").contains("Minpack", "JSR-310");
            assertThat(text(all, NOTICE)).contains("dl4j-lora", "Kaynak", "Apache Commons Compress", "Jackson");
        }
    }

    @Test
    void eachJarHasTheLicenceTheNoticeAModuleNameAndTheVersion() throws IOException {
        for (Path path : List.of(Path.of("target", "dl4j-lora.jar"), own("../../dl4j-lora-layer", "dl4j-lora-layer"),
                own(".", "dl4j-lora-cli"), own("../report", "dl4j-lora-report"), own("../onnx", "dl4j-lora-onnx"))) {
            try (JarFile jar = new JarFile(path.toFile())) {
                assertThat(text(jar, LICENSE)).as(path.toString()).isEqualTo(Files.readString(Path.of("../../LICENSE")));
                assertThat(text(jar, NOTICE)).as(path.toString()).contains("The dl4j-lora authors");
                Attributes manifest = jar.getManifest().getMainAttributes();
                assertThat(manifest.getValue("Automatic-Module-Name")).as(path.toString()).matches("io(\\.[a-z][a-z0-9]*)+");
                assertThat(manifest.getValue("Implementation-Version")).as(path.toString())
                        .isEqualTo(System.getProperty("project.version"));
            }
        }
    }

    /** The versions of the parts by their names. */
    private static TreeMap<String, String> listed(JarFile all) throws IOException {
        TreeMap<String, String> listed = new TreeMap<>();
        text(all, LIST).lines().map(PART::matcher).filter(part -> part.matches())
                .forEach(part -> listed.put(part.group(1), part.group(2)));
        return listed;
    }

    /** A jar of this project, where it was packaged. */
    private static Path own(String module, String artifact) {
        return Path.of(module, "target", artifact + "-" + System.getProperty("project.version") + ".jar");
    }

    /** The jars of others that this test runs on, in the folders of a local Maven repository. */
    private static List<Path> parts() {
        String path = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        return Arrays.stream(path.split(File.pathSeparator)).filter(entry -> entry.endsWith(".jar")).map(Path::of)
                .filter(jar -> !jar.getFileName().toString().startsWith("dl4j-lora")).toList();
    }

    /** Those for tests are not. */
    private static boolean isIn(Path part, JarFile all) throws IOException {
        try (JarFile jar = new JarFile(part.toFile())) {
            return jar.stream().map(ZipEntry::getName).filter(name -> name.endsWith(".class") || name.contains(".so"))
                    .filter(name -> !name.endsWith("module-info.class")).anyMatch(name -> all.getEntry(name) != null);
        }
    }

    private static String text(JarFile jar, String name) throws IOException {
        assertThat(jar.getEntry(name)).as(name + " in " + jar.getName()).isNotNull();
        return new String(jar.getInputStream(jar.getEntry(name)).readAllBytes(), StandardCharsets.UTF_8);
    }
}
