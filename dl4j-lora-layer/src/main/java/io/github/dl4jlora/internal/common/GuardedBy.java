package io.github.dl4jlora.internal.common;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * The lock that must be held for a field or method. Error Prone checks this, for any annotation of this name. This one is in
 * sources alone: compilers of users' code do not ask for its class.
 */
@Target({ElementType.FIELD, ElementType.METHOD})
@Retention(RetentionPolicy.SOURCE)
public @interface GuardedBy {

    /** {@return the lock, as the class itself would write it} */
    String value();
}
