package io.github.dl4jlora.variant;

import org.nd4j.shade.jackson.annotation.JsonTypeInfo;
import org.nd4j.shade.jackson.databind.DatabindContext;
import org.nd4j.shade.jackson.databind.JavaType;
import org.nd4j.shade.jackson.databind.jsontype.impl.TypeIdResolverBase;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** How configurations name variants: those of this library by name, so that the classes may move, others by class. */
final class VariantIds extends TypeIdResolverBase {

    private static final Map<String, Class<?>> OURS = List.of(new PlainLoRA(), new FrozenALoRA(), new DoRA()).stream()
            .collect(Collectors.toMap(Variant::name, Variant::getClass));

    /** Jackson calls {@link #init} first. */
    @SuppressWarnings("NullAway.Init")
    private JavaType variant;

    @Override
    public void init(JavaType base) {
        variant = base;
    }

    @Override
    public String idFromValue(Object value) {
        return OURS.containsValue(value.getClass()) ? ((Variant) value).name() : value.getClass().getName();
    }

    @Override
    public String idFromValueAndType(Object value, Class<?> type) {
        return idFromValue(value);
    }

    /** Files of 0.1.0 name this library's variants by class too. */
    @Override
    public JavaType typeFromId(DatabindContext context, String id) throws IOException {
        return context.constructSpecializedType(variant, OURS.containsKey(id) ? OURS.get(id) : own(id));
    }

    /** A user's variant; a class that is no variant is not even initialised. */
    private static Class<?> own(String name) throws IOException {
        try {
            Class<?> found = Class.forName(name, false, Thread.currentThread().getContextClassLoader());
            if (Variant.class.isAssignableFrom(found)) {
                return found;
            }
        } catch (ClassNotFoundException | LinkageError e) {
            throw new IOException("\"" + name + "\" is neither a Variant of this library, which has " + OURS.keySet() + ", nor a "
                    + "class on the class path", e);
        }
        throw new IOException("\"" + name + "\" is a class, but not a Variant");
    }

    @Override
    public String getDescForKnownTypeIds() {
        return OURS.keySet() + " or the name of a class";
    }

    @Override
    public JsonTypeInfo.Id getMechanism() {
        return JsonTypeInfo.Id.CUSTOM;
    }
}
