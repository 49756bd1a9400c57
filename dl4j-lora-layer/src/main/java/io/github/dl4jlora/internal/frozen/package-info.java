/**
 * What runs frozen layers and vertices.
 */
package io.github.dl4jlora.internal.frozen;
