package io.github.dl4jlora.variant;

import org.nd4j.shade.jackson.annotation.JsonTypeInfo;
import org.nd4j.shade.jackson.databind.DatabindContext;
import org.nd4j.shade.jackson.databind.JavaType;
import org.nd4j.shade.jackson.databind.jsontype.impl.TypeIdResolverBase;

import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** What configurations call a variant: ours by name, so that the class may move, others by class. */
final class VariantIds extends TypeIdResolverBase {

    private static final Map<String, Class<?>> OURS = List.of(new PlainLoRA(), new FrozenALoRA(), new DoRA()).stream()
            .collect(Collectors.toMap(Variant::name, Function.<Variant>identity().andThen(Object::getClass)));

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

    /** Files of 0.1.0 have ours by class too. */
    @Override
    public JavaType typeFromId(DatabindContext context, String id) throws IOException {
        return OURS.containsKey(id) ? context.constructSpecializedType(variant, OURS.get(id))
                : context.resolveSubType(variant, id);
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
