package io.github.dl4jlora;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.Trees;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.annotation.processing.AbstractProcessor;
import javax.annotation.processing.RoundEnvironment;
import javax.lang.model.SourceVersion;
import javax.lang.model.element.Element;
import javax.lang.model.element.ExecutableElement;
import javax.lang.model.element.Modifier;
import javax.lang.model.element.TypeElement;
import javax.lang.model.type.DeclaredType;
import javax.lang.model.type.TypeKind;
import javax.lang.model.type.TypeMirror;
import javax.lang.model.util.ElementFilter;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Copies the library's sources for javadoc, which can leave out packages but not the names of their types. Where public classes
 * extend, implement or take what is internal, since DL4J needs it so, the copy does not: it is there to be read, not compiled.
 *
 * <p>Run by the build: {@code java PublicSources.java <sources> <copy> <class path>}.
 */
public final class PublicSources {

    private static final String INTERNAL = "io.github.dl4jlora.internal.";

    private static final Set<Modifier> SHOWN = Set.of(Modifier.PUBLIC, Modifier.PROTECTED);

    private PublicSources() {
    }

    public static void main(String[] arguments) throws IOException {
        copy(Path.of(arguments[0]), Path.of(arguments[1]), arguments[2]);
    }

    static void copy(Path from, Path to, String classpath) throws IOException {
        List<Path> sources;
        try (Stream<Path> files = Files.walk(from)) {
            sources = files.filter(file -> file.toString().endsWith(".java")).toList();
        }
        Cutter cutter = new Cutter();
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        try (StandardJavaFileManager files = compiler.getStandardFileManager(null, Locale.ROOT, StandardCharsets.UTF_8)) {
            JavaCompiler.CompilationTask task = compiler.getTask(null, files, null,
                    List.of("-proc:only", "-classpath", classpath), null, files.getJavaFileObjectsFromPaths(sources));
            task.setProcessors(List.of(cutter));
            if (!task.call()) {
                throw new IOException("The sources in " + from + " cannot be read: compile them first");
            }
        }
        for (Path source : sources) {
            Path copy = to.resolve(from.relativize(source).toString());
            Files.createDirectories(copy.getParent());
            Files.writeString(copy, cutter.cut(source));
        }
    }

    private record Cut(int end, String instead) {
    }

    /** Finds what to cut. A processor, since the compiler hands it types without reading what methods do. */
    private static final class Cutter extends AbstractProcessor {

        private final TreeMap<Path, TreeMap<Integer, Cut>> cuts = new TreeMap<>();

        String cut(Path source) throws IOException {
            StringBuilder text = new StringBuilder(Files.readString(source));
            cuts.getOrDefault(source.toAbsolutePath(), new TreeMap<>()).descendingMap()
                    .forEach((start, cut) -> text.replace(start, cut.end(), cut.instead()));
            return text.toString();
        }

        @Override
        public Set<String> getSupportedAnnotationTypes() {
            return Set.of("*");
        }

        @Override
        public SourceVersion getSupportedSourceVersion() {
            return SourceVersion.latestSupported();
        }

        @Override
        public boolean process(Set<? extends TypeElement> annotations, RoundEnvironment round) {
            ElementFilter.typesIn(round.getRootElements()).stream()
                    .filter(type -> !type.getQualifiedName().toString().startsWith(INTERNAL)).forEach(this::look);
            return false;
        }

        private void look(TypeElement type) {
            Trees trees = Trees.instance(processingEnv);
            Text text = new Text(trees, type);
            ClassTree tree = trees.getTree(type);
            if (isInternal(type.getSuperclass())) {
                text.replace(tree.getExtendsClause(), shown(type.getSuperclass()).toString());
            }
            List<? extends Tree> names = tree.getImplementsClause();
            List<String> kept = IntStream.range(0, names.size()).filter(i -> !isInternal(type.getInterfaces().get(i)))
                    .mapToObj(i -> text.of(names.get(i))).toList();
            if (kept.size() < names.size()) {
                text.replaceList(names, kept);
            }
            for (Element member : type.getEnclosedElements()) {
                if (Collections.disjoint(member.getModifiers(), SHOWN)) {
                    continue;
                }
                if (member instanceof TypeElement nested) {
                    look(nested);
                } else if (member instanceof ExecutableElement method
                        && (method.asType().toString().contains(INTERNAL) || comesFromInside(method, type))) {
                    text.hide(trees.getTree(method));
                }
            }
        }

        private static boolean isInternal(TypeMirror type) {
            return type.toString().startsWith(INTERNAL);
        }

        private TypeMirror shown(TypeMirror type) {
            return isInternal(type) ? shown(((TypeElement) ((DeclaredType) type).asElement()).getSuperclass()) : type;
        }

        /** Whether a method without words of its own is there for an internal supertype alone. */
        private boolean comesFromInside(ExecutableElement method, TypeElement type) {
            Set<Boolean> inside = supertypes(type.asType()).flatMap(above -> ElementFilter.methodsIn(
                            ((DeclaredType) above).asElement().getEnclosedElements()).stream()
                    .filter(other -> processingEnv.getElementUtils().overrides(method, other, type))
                    .map(other -> isInternal(above))).collect(Collectors.toSet());
            return inside.equals(Set.of(true)) && processingEnv.getElementUtils().getDocComment(method) == null;
        }

        private Stream<? extends TypeMirror> supertypes(TypeMirror type) {
            return processingEnv.getTypeUtils().directSupertypes(type).stream()
                    .filter(above -> above.getKind() == TypeKind.DECLARED)
                    .flatMap(above -> Stream.concat(Stream.of(above), supertypes(above)));
        }

        /** The file of a type. */
        private final class Text {

            private final CompilationUnitTree unit;
            private final SourcePositions positions;
            private final String text;

            Text(Trees trees, TypeElement type) {
                unit = trees.getPath(type).getCompilationUnit();
                positions = trees.getSourcePositions();
                try {
                    text = unit.getSourceFile().getCharContent(false).toString();
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }

            String of(Tree tree) {
                return text.substring(start(tree), end(tree));
            }

            private int start(Tree tree) {
                return (int) positions.getStartPosition(unit, tree);
            }

            private int end(Tree tree) {
                return (int) positions.getEndPosition(unit, tree);
            }

            private void replace(int start, int end, String instead) {
                cuts.computeIfAbsent(Path.of(unit.getSourceFile().toUri()).toAbsolutePath(), file -> new TreeMap<>())
                        .put(start, new Cut(end, instead));
            }

            void replace(Tree tree, String instead) {
                replace(start(tree), end(tree), instead);
            }

            /** Of interfaces, with the word before them if none is left. */
            void replaceList(List<? extends Tree> names, List<String> kept) {
                int first = start(names.get(0));
                int word = Math.max(text.lastIndexOf("implements", first), text.lastIndexOf("extends", first));
                replace(kept.isEmpty() ? word : first, end(names.get(names.size() - 1)), String.join(", ", kept));
            }

            /** By a modifier, so that the comment goes too and no other constructor comes. */
            void hide(MethodTree method) {
                String modifiers = of(method.getModifiers());
                replace(method.getModifiers(), modifiers.replaceFirst("\\b(public|protected)\\b", "private"));
            }
        }
    }
}
