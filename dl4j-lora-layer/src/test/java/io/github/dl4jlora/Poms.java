package io.github.dl4jlora;

import io.github.dl4jlora.pages.CodeBlock;
import org.w3c.dom.Document;
import org.w3c.dom.Element;
import org.w3c.dom.Node;

import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.xml.parsers.DocumentBuilderFactory;

/** What the project's POMs say, for tests that compare the pages with them. */
final class Poms {

    static final String GROUP = "io.github.dl4jlora";
    private static final Pattern PROPERTY = Pattern.compile("\\$\\{([^}]+)}");

    private final Map<String, Document> byModule = new HashMap<>();
    /** Which profile builds a module; empty of those that are always built. */
    private final Map<String, Set<String>> profilesOf = new HashMap<>();
    private final Map<String, String> properties = new HashMap<>();

    Poms() throws Exception {
        read("", "");
        Element root = byModule.get("").getDocumentElement();
        children(root, "properties").flatMap(Poms::children).forEach(property ->
                properties.put(property.getTagName(), property.getTextContent().strip()));
        properties.put("project.version", text(root, "version"));
    }

    /** A module, and those that it or a profile of it names. */
    private void read(String module, String profile) throws Exception {
        profilesOf.computeIfAbsent(module, none -> new HashSet<>()).add(profile);
        Path pom = CodeBlock.TOP.resolve(module).resolve("pom.xml");
        Document document = DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(pom.toFile());
        if (byModule.put(module, document) == null) {
            for (Element child : descendants(document, "module").toList()) {
                read(module.isEmpty() ? child.getTextContent() : module + "/" + child.getTextContent(), profileAround(child));
            }
        }
    }

    static Document parse(String xml) throws Exception {
        return DocumentBuilderFactory.newInstance().newDocumentBuilder()
                .parse(new ByteArrayInputStream(xml.getBytes(StandardCharsets.UTF_8)));
    }

    /**
     * Whether a module is built.
     *
     * @param module   its folder from the top; empty: the top itself
     * @param profiles that are on
     */
    boolean builds(String module, List<String> profiles) {
        return profilesOf.getOrDefault(module, Set.of()).stream().anyMatch(of -> of.isEmpty() || profiles.contains(of));
    }

    /** Whether a module's POM has a profile. */
    boolean hasProfile(String module, String profile) {
        return descendants(byModule.get(module), "profile").anyMatch(element -> text(element, "id").equals(profile));
    }

    /** Whether a module has an execution that is not in a profile, or in one that is on, and is not skipped. */
    boolean runs(String module, String execution, List<String> profiles) {
        return descendants(byModule.get(module), "execution").filter(element -> text(element, "id").equals(execution))
                .filter(element -> children(element, "configuration").noneMatch(of -> text(of, "skip").equals("true")))
                .map(Poms::profileAround).anyMatch(of -> of.isEmpty() || profiles.contains(of));
    }

    /** The id of the profile that an element belongs to; empty without one. */
    private static String profileAround(Element element) {
        Node node = element;
        while (node instanceof Element && !node.getNodeName().equals("profile")) {
            node = node.getParentNode();
        }
        return node instanceof Element profile ? text(profile, "id") : "";
    }

    /** Whether a POM uses or sets a property. */
    boolean knows(String property) {
        return byModule.values().stream().anyMatch(pom ->
                pom.getDocumentElement().getTextContent().contains("${" + property + "}")
                || descendants(pom, "properties").anyMatch(of -> children(of, property).findAny().isPresent())
                || descendants(pom, "property").anyMatch(of -> text(of, "name").equals(property)));
    }

    /**
     * What a dependency on an artifact may be written as: {@code group:artifact:version}, of all that the POMs depend on, of the
     * modules, and of the artifacts {@code …-platform}, which JavaCPP's projects publish beside each.
     */
    List<String> coordinates() {
        Stream<String> modules = byModule.values().stream()
                .map(pom -> GROUP + ":" + text(pom.getDocumentElement(), "artifactId") + ":" + properties.get("project.version"));
        Stream<String> others = byModule.values().stream().flatMap(pom -> descendants(pom, "dependency"))
                .filter(dependency -> !text(dependency, "version").isEmpty()).map(this::coordinates)
                .flatMap(written -> Stream.of(written, written.replaceFirst("(:[^:]+)$", "-platform$1")));
        return Stream.concat(modules, others).distinct().toList();
    }

    /** @param dependency an element of a POM */
    String coordinates(Element dependency) {
        return resolved(text(dependency, "groupId") + ":" + text(dependency, "artifactId") + ":" + text(dependency, "version"));
    }

    /** {@return the value of a property of the top POM} */
    String property(String name) {
        return properties.get(name);
    }

    private String resolved(String value) {
        Matcher property = PROPERTY.matcher(value);
        return property.replaceAll((MatchResult found) -> Matcher.quoteReplacement(
                properties.getOrDefault(found.group(1), found.group())));
    }

    static String text(Element element, String child) {
        return children(element, child).map(Node::getTextContent).map(String::strip).findFirst().orElse("");
    }

    static Stream<Element> children(Element element) {
        return IntStream.range(0, element.getChildNodes().getLength()).mapToObj(element.getChildNodes()::item)
                .filter(Element.class::isInstance).map(Element.class::cast);
    }

    private static Stream<Element> children(Element element, String name) {
        return children(element).filter(child -> child.getTagName().equals(name));
    }

    private static Stream<Element> descendants(Document document, String name) {
        return IntStream.range(0, document.getElementsByTagName(name).getLength())
                .mapToObj(document.getElementsByTagName(name)::item).map(Element.class::cast);
    }
}
