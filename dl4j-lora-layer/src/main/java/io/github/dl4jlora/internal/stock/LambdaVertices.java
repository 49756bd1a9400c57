package io.github.dl4jlora.internal.stock;

import org.deeplearning4j.nn.conf.layers.samediff.SameDiffLambdaVertex;

import java.lang.reflect.Field;
import java.lang.reflect.InaccessibleObjectException;
import java.lang.reflect.Modifier;

/**
 * Users' subclasses of SameDiffLambdaVertex. The {@code clone()} that they inherit is a new instance, whose fields have their
 * first values and not those that the network computes with.
 */
final class LambdaVertices {

    private LambdaVertices() {
    }

    /**
     * Gives a clone the fields of the original's own class, unless that class clones itself.
     *
     * @throws IllegalArgumentException if they cannot be read and set
     */
    static void keepFields(SameDiffLambdaVertex from, SameDiffLambdaVertex clone) {
        try {
            if (from.getClass().getMethod("clone").getDeclaringClass() != SameDiffLambdaVertex.class) {
                return;
            }
            for (Class<?> type = from.getClass(); type != SameDiffLambdaVertex.class; type = type.getSuperclass()) {
                for (Field field : type.getDeclaredFields()) {
                    if ((field.getModifiers() & (Modifier.STATIC | Modifier.TRANSIENT)) == 0) {
                        field.setAccessible(true);
                        field.set(clone, field.get(from));
                    }
                }
            }
        } catch (ReflectiveOperationException | InaccessibleObjectException e) {
            throw new IllegalArgumentException("The vertex " + from.getClass().getName() + " cannot be copied with its fields, "
                    + "which its inherited clone() leaves out: " + e.getMessage() + ". Override clone() in that class", e);
        }
    }
}
