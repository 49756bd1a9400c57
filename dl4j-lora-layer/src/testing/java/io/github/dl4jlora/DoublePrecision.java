package io.github.dl4jlora;

import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.factory.Nd4j;

/** Makes DOUBLE the default type while a class's tests run, as DL4J's GradientCheckUtil demands. */
public final class DoublePrecision implements BeforeAllCallback, AfterAllCallback {

    private DataType type;
    private DataType floatingPointType;

    @Override
    public void beforeAll(ExtensionContext context) {
        type = Nd4j.dataType();
        floatingPointType = Nd4j.defaultFloatingPointType();
        Nd4j.setDefaultDataTypes(DataType.DOUBLE, DataType.DOUBLE);
    }

    @Override
    public void afterAll(ExtensionContext context) {
        Nd4j.setDefaultDataTypes(type, floatingPointType);
    }
}
