package io.github.dl4jlora.property;

import java.lang.reflect.RecordComponent;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** Values as the Java expressions that make them: what a failing test prints is pasted as a case. */
final class Source {

    private Source() {
    }

    static String of(Object value) {
        if (value instanceof Record made) {
            return "new " + made.getClass().getSimpleName() + "(" + Stream.of(made.getClass().getRecordComponents())
                    .map(component -> of(read(made, component))).collect(Collectors.joining(", ")) + ")";
        }
        if (value instanceof List<?> list) {
            return "List.of(" + list.stream().map(Source::of).collect(Collectors.joining(", ")) + ")";
        }
        return value instanceof Enum<?> constant ? constant.getDeclaringClass().getSimpleName() + "." + constant.name()
                : value instanceof Long number ? number + "L" : String.valueOf(value);
    }

    private static Object read(Record made, RecordComponent component) {
        try {
            return component.getAccessor().invoke(made);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(e);
        }
    }
}
